import type { PhaseDetails, PhaseState, RunState } from '../../src/dashboard/protocol';
import type { SampleImage, SampleKind, Samples as Strip } from '../../src/run/samples';
import { stripAddress } from '../phase-details';

interface SamplesProps {
  readonly run: RunState;
  readonly phase: PhaseState;
  readonly details: PhaseDetails;
}

/** Sample images of a phase: evaluated images with predictions, and images of the first training batch. */
export function Samples({ run, phase, details }: SamplesProps) {
  if (details.train === null && details.eval === null) return null;
  return (
    <section aria-labelledby="samples">
      <h2 id="samples">
        Sample images <span class="quiet">of {phase.phase}</span>
      </h2>
      {details.eval && (
        <Row run={run} phase={phase} kind={'eval'} strip={details.eval}>
          Evaluated at step {details.eval.step.toLocaleString('en-US')}: the most confident mistakes, then the
          least confident correct predictions
        </Row>
      )}
      {details.train && (
        <Row run={run} phase={phase} kind={'train'} strip={details.train}>
          First training batch, as the model sees it: after augmentation and mixing, if any
        </Row>
      )}
    </section>
  );
}

interface RowProps {
  readonly run: RunState;
  readonly phase: PhaseState;
  readonly kind: SampleKind;
  readonly strip: Strip;
  readonly children: preact.ComponentChildren;
}

function Row({ run, phase, kind, strip, children }: RowProps) {
  const address = stripAddress(run.id, phase.phase, kind, strip.step);
  const count = strip.images.length;
  return (
    <>
      <h3>{children}</h3>
      <ul class={`samples ${kind}`}>
        {strip.images.map((image, slot) => (
          <li key={slot} title={image.file}>
            <span
              class={`tile-image${strip.width < 64 ? ' coarse' : ''}`}
              role="img"
              aria-label={`Image ${image.index}`}
              style={{
                aspectRatio: `${strip.width} / ${strip.height}`,
                backgroundImage: `url("${address}")`,
                backgroundSize: `${100 * count}% 100%`,
                backgroundPosition: `${count > 1 ? (100 * slot) / (count - 1) : 0}% 0`,
              }}
            />
            {image.predictions === undefined ? <Targets image={image} /> : <Guesses image={image} />}
          </li>
        ))}
      </ul>
    </>
  );
}

function Targets({ image }: { image: SampleImage }) {
  return (
    <span class="labels">
      {image.targets.toSorted(byWeight).map(({ label, name, weight }) => (
        <Share key={label} name={name ?? String(label)} share={image.targets.length > 1 ? weight : null} />
      ))}
    </span>
  );
}

function byWeight(a: { weight: number | null }, b: { weight: number | null }): number {
  return (b.weight ?? 0) - (a.weight ?? 0);
}

function Guesses({ image: { targets, predictions = [] } }: { image: SampleImage }) {
  const [{ label: target, name }] = targets;
  return (
    <span class="labels">
      <b class={predictions[0]?.label === target ? 'right' : 'wrong'}>{name ?? target}</b>
      {predictions.map((guess) => (
        <Share
          key={guess.label}
          name={guess.name ?? String(guess.label)}
          share={guess.probability}
          kind={guess.label === target ? 'right' : 'wrong'}
        />
      ))}
    </span>
  );
}

function Share({ name, share, kind = '' }: { name: string; share: number | null; kind?: string }) {
  return (
    <span class={`share ${kind}`} style={{ '--v': `${100 * (share ?? 0)}%` }}>
      <span>{name}</span>
      {share !== null && <em>{(100 * share).toFixed(0)} %</em>}
    </span>
  );
}
