import { type PhaseState, type RunState, stateScore } from '../../src/dashboard/protocol';
import { bytes, duration, significant, TRAIN_TIME, withPrefix } from '../../src/report/format';
import { isScratch, WAY_NAMES } from '../../src/report/way';
import { capitalised, percent } from '../look';
import { StateMark } from './state-mark';

/** The model that FT trains. */
const MODELS = { incubation: 'assembled', growth: 'grown', fine_tuning: 'pretrained' } as const;

/** The name, state, alerts and main numbers of a run. */
export function RunHead({ run }: { run: RunState }) {
  const troubled = run.phases.filter(({ to_do }) => to_do !== null);
  const again = run.phases.filter(
    ({ to_do, state, restarts }) => to_do === null && state !== 'done' && restarts > 0,
  );
  return (
    <section class="head" aria-label="Run">
      <div class="title">
        <h1>{run.name}</h1>
        <StateMark state={run.state} />
      </div>
      <p class="sub">
        {run.folder}
        {run.seed !== null && ` · seed ${run.seed}`}
      </p>
      {troubled.map(({ phase, state, last_error, to_do, step, steps }) => (
        <div class={`alert${state === 'failed' || state === 'lost' ? '' : ' mild'}`} role="alert" key={phase}>
          <b>
            {phase} {state} at step {step.toLocaleString('en-US')} of {steps.toLocaleString('en-US')}.
          </b>
          {last_error !== null && <span>{last_error}</span>}
          <span class="quiet">To do: {to_do}.</span>
        </div>
      ))}
      {again.map(({ phase, last_error, restarts }) => (
        <div class="alert mild" key={phase}>
          <b>
            {phase} was restarted {restarts === 1 ? 'once' : `${restarts} times`}.
          </b>
          {last_error !== null && <span>{last_error}</span>}
        </div>
      ))}
      <Tiles run={run} />
    </section>
  );
}

function Tiles({ run }: { run: RunState }) {
  const { phases, way, primary } = run;
  const sum = (some: readonly PhaseState[], key: 'block_passes' | 'planned_block_passes' | 'seconds') =>
    some.reduce((total, phase) => total + phase[key], 0);
  const find = (name: string) => phases.find(({ phase }) => phase === name);
  const baseline = find('E2E');
  const own = phases.filter(({ phase }) => phase !== 'E2E');
  const active = phases.filter(({ state }) => state === 'running');
  const rate = active.reduce((total, { images_per_second }) => total + (images_per_second ?? 0), 0);
  const memory = Math.max(
    0,
    ...(active.length > 0 ? active : phases).map((phase) => phase.memory_bytes ?? 0),
  );
  const planned = sum(phases, 'planned_block_passes');
  const progress = percent(sum(phases, 'block_passes'), planned);
  const label = capitalised(primary.label);
  const score = (phase: PhaseState | undefined) => (phase && stateScore(phase, primary)?.toFixed(2)) ?? '–';
  const waits = active.flatMap(({ data_wait }) => data_wait ?? []);
  return (
    <dl class="tiles">
      <Tile label="Progress" value={planned > 0 ? progress.toFixed(progress < 100 ? 1 : 0) : '–'} unit="%">
        {withPrefix(sum(phases, 'block_passes'))} of {withPrefix(planned)} block-passes{leftOf(run)}
      </Tile>
      {!isScratch(way) && (
        <Tile label={`${label}, ${WAY_NAMES[way]}`} value={score(find('FT'))} unit={primary.unit} kind="FT">
          {find('FT') === undefined ? 'not planned' : `${MODELS[way]} model, ${find('FT')?.state}`}
        </Tile>
      )}
      <Tile
        label={`${label}, ${way === 'infopro' || way === 'dgl' ? WAY_NAMES[way] : 'end to end'}`}
        value={score(baseline)}
        unit={primary.unit}
        kind="E2E"
      >
        {baseline === undefined ? 'no baseline in this run' : `baseline, ${baseline.state}`}
      </Tile>
      <Tile label="Training speed" value={rate > 0 ? significant(rate) : '–'} unit="images/s">
        {waits.length > 0
          ? `${(100 * Math.max(...waits)).toFixed(1)} % waiting for data`
          : 'no phase is running'}
      </Tile>
      <Tile
        label="Memory"
        value={memory > 0 ? bytes(memory).split(' ')[0] : '–'}
        unit={bytes(memory).split(' ')[1]}
      >
        peak per process
      </Tile>
      <Tile
        label={capitalised(TRAIN_TIME)}
        value={duration(sum(own.length > 0 ? own : phases, 'seconds'))}
        unit=""
      >
        {timeNote(own.length > 0, baseline)}
      </Tile>
    </dl>
  );
}

interface TileProps {
  readonly label: string;
  readonly value: string;
  readonly unit: string;
  readonly kind?: string;
  readonly children: preact.ComponentChildren;
}

function Tile({ label, value, unit, kind, children }: TileProps) {
  return (
    <div class={`tile${kind ? ` c-${kind}` : ''}`}>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b>
        {value !== '–' && unit !== '' && <span class="unit"> {unit}</span>}
        <small>{children}</small>
      </dd>
    </div>
  );
}

/** The remaining time of the whole run. */
function leftOf({ state, seconds_left: left }: RunState): string {
  return state === 'done' || left === null || left <= 0 ? '' : `, about ${duration(left)} left`;
}

/** The text below the training time. */
function timeNote(isIncubated: boolean, baseline: PhaseState | undefined): string {
  if (!isIncubated) return 'end to end only';
  if (baseline === undefined) return 'no baseline in this run';
  return `end to end ${baseline.step > 0 ? duration(baseline.seconds) : 'not started'}`;
}
