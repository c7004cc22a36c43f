import { bestOf, type RunState, stateScore } from '../../src/dashboard/protocol';
import {
  bytes,
  duration,
  significant,
  TRAIN_LOSS,
  TRAIN_SPEED,
  TRAIN_TIME,
  withPrefix,
} from '../../src/report/format';
import { locationOf } from '../../src/report/run-status-text';
import { scoreText } from '../../src/run/metric';
import { capitalised, colourOf } from '../look';
import { StateMark } from './state-mark';
import { Table } from './table';

const HEADS = [
  capitalised(TRAIN_LOSS),
  'Step',
  capitalised(TRAIN_SPEED),
  'Wait',
  'Memory',
  'Block-passes',
  capitalised(TRAIN_TIME),
];

/** The numbers of the page's head and figure, per phase. */
export function PhaseTable({ run, chosen }: { run: RunState; chosen: string | undefined }) {
  const or = (value: number | null, text: (value: number) => string) => (value === null ? '–' : text(value));
  const { primary } = run;
  const score = capitalised(primary.label);
  const heads = ['Phase', 'State', `${score}, last`, `${score}, best`, ...HEADS];
  const scores = [primary, { ...primary, ...bestOf(primary) }];
  const places = run.phases.some((phase) => locationOf(phase, run.state === 'running') !== '');
  return (
    <section aria-labelledby="numbers">
      <Table id="numbers" title="Numbers" heads={places ? [...heads, 'Where'] : heads} isPart={false}>
        {run.phases.map((phase) => (
          <tr key={phase.phase} class={phase.phase === chosen ? 'chosen' : ''}>
            <th scope="row" class={colourOf(phase.phase)}>
              <i class="swatch" />
              {phase.phase}
            </th>
            <td class="left">
              <StateMark state={phase.state} />
            </td>
            {scores.map((metric) => (
              <td key={metric.name}>{or(stateScore(phase, metric), (v) => scoreText(metric, v))}</td>
            ))}
            <td>{or(phase.loss, (v) => v.toFixed(4))}</td>
            <td>
              {phase.step.toLocaleString('en-US')}
              <span class="quiet"> / {phase.steps.toLocaleString('en-US')}</span>
            </td>
            <td>{or(phase.images_per_second, significant)}</td>
            <td>{or(phase.data_wait, (v) => `${(100 * v).toFixed(1)} %`)}</td>
            <td>{or(phase.memory_bytes, bytes)}</td>
            <td>{phase.step === 0 ? '–' : withPrefix(phase.block_passes)}</td>
            <td>{phase.step === 0 ? '–' : duration(phase.seconds)}</td>
            {places && <td>{locationOf(phase, run.state === 'running') || '–'}</td>}
          </tr>
        ))}
      </Table>
    </section>
  );
}
