import type { PhaseDetails, PhaseState, RunState } from '../../src/dashboard/protocol';
import { pictureAddress } from '../phase-details';

interface PicturesProps {
  readonly run: RunState;
  readonly phase: PhaseState;
  readonly drawn: PhaseDetails['drawn'];
}

const LABELS = { segmentation: 'labels', detection: 'annotations' };
const PREDICTIONS = { segmentation: 'prediction', detection: 'objects found with a score of at least 50 %' };

/** Images of a phase's last evaluation, with their labels and the prediction. */
export function Pictures({ run, phase, drawn }: PicturesProps) {
  if (drawn === null || drawn.images.length === 0) return null;
  const { task, step } = drawn;
  return (
    <section aria-labelledby="pictures">
      <h2 id="pictures">
        Predictions <span class="quiet">of {phase.phase}</span>
      </h2>
      <h3>
        Evaluated at step {step.toLocaleString('en-US')}: image, {LABELS[task]}, {PREDICTIONS[task]}
      </h3>
      <ul class="pictures">
        {drawn.images.map((image, i) => (
          <li key={i} title={image.file}>
            <img
              src={pictureAddress(run.id, phase.phase, step, i)}
              width={3 * image.width}
              height={image.height}
              alt={`Image, ${LABELS[task]} and prediction of ${image.file}`}
            />
            <span class="colours">
              {image.classes.map(({ class: label, name, colour }) => (
                <span key={label}>
                  <i style={{ background: colour }} />
                  {name ?? label}
                </span>
              ))}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
