import type { Confusion } from '../../src/run/confusion';
import { classScores, labelName } from '../../src/tasks/classification/class-scores';

/** Maximum number of classes for a matrix with numbers in its cells. */
const NUMBERED = 20;

/** One row per class and one column per prediction; the shade is the share of the row. */
export function ConfusionMatrix({ confusion }: { confusion: Confusion }) {
  const totals = new Map(classScores(confusion).map(({ class: label, images }) => [label, images]));
  const shares = new Map(
    confusion.counts.map(([target, prediction, images]) => [
      target * confusion.classes + prediction,
      images / (totals.get(target) ?? images),
    ]),
  );
  const labels = Array.from({ length: confusion.classes }, (_, label) => label);
  return (
    <div>
      <h3 id="matrix">Confusion matrix: true class by row, prediction by column, in % of the row</h3>
      {confusion.classes <= NUMBERED ? (
        <Numbered confusion={confusion} labels={labels} shares={shares} />
      ) : (
        <Drawn confusion={confusion} shares={shares} />
      )}
    </div>
  );
}

interface MatrixProps {
  readonly confusion: Confusion;
  readonly shares: ReadonlyMap<number, number>;
}

function Numbered({ confusion, labels, shares }: MatrixProps & { readonly labels: readonly number[] }) {
  const { classes, names } = confusion;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrollable.
    <section class="scroll matrix" tabIndex={0} aria-labelledby="matrix">
      <table>
        <thead>
          <tr>
            <td />
            {labels.map((label) => (
              <th scope="col" key={label} title={labelName(confusion, label)}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {labels.map((target) => (
            <tr key={target}>
              <th scope="row">
                <span class="quiet">{target}</span> {names?.[target]}
              </th>
              {labels.map((prediction) => {
                const share = shares.get(target * classes + prediction);
                return (
                  <td
                    key={prediction}
                    class={target === prediction ? 'hit' : 'miss'}
                    style={{ '--v': `${100 * shade(share ?? 0, target === prediction)}%` }}
                    title={`${labelName(confusion, target)} predicted as ${labelName(confusion, prediction)}`}
                  >
                    {share === undefined ? '' : share < 0.01 ? '<1' : Math.round(100 * share)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Drawn({ confusion, shares }: MatrixProps) {
  const { classes } = confusion;
  return (
    <svg class="matrix" viewBox={`0 0 ${classes} ${classes}`} role="img" aria-labelledby="matrix">
      <title>Confusion matrix</title>
      {[...shares].map(([pair, share]) => {
        const [target, prediction] = [Math.floor(pair / classes), pair % classes];
        return (
          <rect
            key={pair}
            class={target === prediction ? 'hit' : 'miss'}
            style={{ '--v': `${100 * shade(share, target === prediction)}%` }}
            x={prediction}
            y={target}
            width={1}
            height={1}
          >
            <title>
              {labelName(confusion, target)} predicted as {labelName(confusion, prediction)}:{' '}
              {(100 * share).toFixed(1)} %
            </title>
          </rect>
        );
      })}
    </svg>
  );
}

/** The square root keeps rare mistakes visible next to frequent hits. */
function shade(share: number, isHit: boolean): number {
  return isHit ? share : Math.sqrt(share);
}
