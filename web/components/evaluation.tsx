import type { PhaseState, RunState } from '../../src/dashboard/protocol';
import type { Confusion } from '../../src/run/confusion';
import { confusions, labelName, worstClasses } from '../../src/tasks/classification/class-scores';
import { ConfusionMatrix } from './confusion-matrix';
import { PhaseSelect } from './phase-select';
import { Table } from './table';

interface EvaluationProps {
  readonly run: RunState;
  readonly phase: PhaseState;
  readonly confusion: Confusion | null;
  readonly onChoose: (phase: string) => void;
}

/** Maximum number of classes for drawing the whole matrix. */
const DRAWN = 50;
const LISTED = 8;

/** The predictions of a phase's last evaluation: confusion matrix, worst classes and confusions. */
export function Evaluation({ run, phase, confusion, onChoose }: EvaluationProps) {
  return (
    <section aria-labelledby="evaluation">
      <div class="with-choice">
        <h2 id="evaluation">
          Evaluation{' '}
          {confusion && <span class="quiet">at step {confusion.step.toLocaleString('en-US')}</span>}
        </h2>
        <PhaseSelect label="Phase of the evaluation" run={run} phase={phase} onChoose={onChoose} />
      </div>
      {confusion === null ? (
        <p class="empty">{phase.phase} has no confusion matrix yet.</p>
      ) : (
        <div class={confusion.classes > DRAWN ? 'classes' : 'classes drawn'}>
          {confusion.classes <= DRAWN && <ConfusionMatrix confusion={confusion} />}
          <Worst confusion={confusion} />
          <Confused confusion={confusion} />
        </div>
      )}
    </section>
  );
}

function Worst({ confusion }: { confusion: Confusion }) {
  const confused = confusions(confusion);
  return (
    <Table id="worst" title="Worst classes" heads={['Class', 'Mostly predicted as', 'Images', 'Accuracy']}>
      {worstClasses(confusion, LISTED).map(({ class: label, images, top1 }) => {
        const most = confused.find(([target]) => target === label);
        return (
          <tr key={label}>
            <th scope="row">{labelName(confusion, label)}</th>
            <td>{most === undefined ? '–' : labelName(confusion, most[1])}</td>
            <td>{images.toLocaleString('en-US')}</td>
            <td>{top1.toFixed(1)} %</td>
          </tr>
        );
      })}
    </Table>
  );
}

function Confused({ confusion }: { confusion: Confusion }) {
  const pairs = confusions(confusion, LISTED);
  if (pairs.length === 0) return null;
  return (
    <Table id="confused" title="Most frequent confusions" heads={['Class', 'Predicted as', 'Images']}>
      {pairs.map(([target, prediction, images]) => (
        <tr key={`${target} ${prediction}`}>
          <th scope="row">{labelName(confusion, target)}</th>
          <td>{labelName(confusion, prediction)}</td>
          <td>{images.toLocaleString('en-US')}</td>
        </tr>
      ))}
    </Table>
  );
}
