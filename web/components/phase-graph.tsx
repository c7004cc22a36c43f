import { type PhaseState, type RunState, stateScore } from '../../src/dashboard/protocol';
import { duration, EVALUATING } from '../../src/report/format';
import { type Metric, scoreText } from '../../src/run/metric';
import { colourOf, percent, startText, titleOf } from '../look';
import { Stages } from './stages';
import { StateMark } from './state-mark';

interface GraphProps {
  readonly run: RunState;
  readonly chosen: string | undefined;
  readonly onChoose: (phase: string) => void;
}

/** The phases as in the paper: the meta model, a hybrid for each module, the assembled model, and next to them the baseline. */
export function PhaseGraph({ run: { phases, primary }, chosen, onChoose }: GraphProps) {
  const shared = { primary, onChoose };
  const modules = phases.filter(({ phase }) => phase.startsWith('MT/'));
  const draw = (name: string) =>
    phases
      .filter(({ phase }) => phase === name)
      .map((phase) => <Card key={name} phase={phase} isChosen={chosen === name} {...shared} />);
  const has = (name: string) => phases.some(({ phase }) => phase === name);
  const layout = modules.length === 0 ? ' no-modules' : has('PT') ? '' : ' no-meta';
  return (
    <section aria-labelledby="phases">
      <h2 id="phases">Phases</h2>
      <div class={`graph${layout}`}>
        {has('PT') && (
          <div class="column">
            <h3>Pre-train</h3>
            {draw('PT')}
          </div>
        )}
        {modules.length > 0 && (
          <div class="column modules">
            <h3>Incubate: each module separately</h3>
            <div class="rows">
              {modules.map((phase) => (
                <Row key={phase.phase} phase={phase} isChosen={chosen === phase.phase} {...shared} />
              ))}
            </div>
          </div>
        )}
        <div class="column">
          {has('FT') && <h3>{modules.length > 0 ? 'Assemble and fine-tune' : 'Fine-tune'}</h3>}
          {draw('FT')}
          {has('E2E') && has('FT') && <h3 class="baseline">Baseline</h3>}
          {draw('E2E')}
        </div>
      </div>
    </section>
  );
}

interface PhaseProps {
  readonly phase: PhaseState;
  readonly primary: Metric;
  readonly isChosen: boolean;
  readonly onChoose: (phase: string) => void;
}

function Card({ phase, primary, isChosen, onChoose }: PhaseProps) {
  return (
    <button
      type="button"
      class={`phase ${colourOf(phase.phase)} is-${phase.state}`}
      aria-pressed={isChosen}
      onClick={() => onChoose(phase.phase)}
    >
      <span class="line">
        <span class="name">{titleOf(phase.phase)}</span>
        <span class="tag">{phase.phase}</span>
      </span>
      <Stages phase={phase} />
      <Start phase={phase} />
      <Progress phase={phase} />
      <span class="line small">
        <StateMark state={phase.state} />
        <span>{progressText(phase, primary)}</span>
      </span>
    </button>
  );
}

function Row({ phase, primary, isChosen, onChoose }: PhaseProps) {
  return (
    <button
      type="button"
      class={`phase row ${colourOf(phase.phase)} is-${phase.state}`}
      aria-pressed={isChosen}
      onClick={() => onChoose(phase.phase)}
    >
      <span class="tag">{phase.phase}</span>
      <Stages phase={phase} />
      <span class="how">
        <Start phase={phase} />
        <span class="line small">
          <StateMark state={phase.state} />
          <span>{progressText(phase, primary)}</span>
        </span>
        <Progress phase={phase} />
      </span>
    </button>
  );
}

/** The weights that a phase starts from. */
function Start({ phase: { starts_from: sources } }: { phase: PhaseState }) {
  const text = startText(sources);
  return text === '' ? null : <span class="small start">from {text}</span>;
}

function Progress({ phase: { phase, step, steps, state } }: { phase: PhaseState }) {
  const share = state === 'done' ? 100 : percent(step, steps);
  return (
    <span
      class="progress"
      role="progressbar"
      aria-label={`${phase} trained`}
      aria-valuenow={Math.round(share)}
      aria-valuemin={0}
      aria-valuemax={100}
    >
      <i style={{ width: `${share}%` }} />
    </span>
  );
}

function progressText(phase: PhaseState, primary: Metric): string {
  const { state, step, steps, seconds, seconds_left: left } = phase;
  const score = stateScore(phase, primary);
  const shown = score === null ? '' : scoreText(primary, score, 1);
  if (state === 'done') return [shown, duration(seconds)].filter(Boolean).join(' · ');
  if (step === 0) return steps > 0 ? `${steps.toLocaleString('en-US')} steps` : '';
  const share = `${Math.floor(percent(step, steps))} %`;
  if (left === null) return `${share} of ${steps.toLocaleString('en-US')} steps`;
  return `${share} · ${left > 0 ? `${duration(left)} left` : EVALUATING}`;
}
