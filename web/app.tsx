import { useEffect, useState } from 'preact/hooks';
import { AXES, type Axis, type ChartLayout } from '../src/dashboard/protocol';
import { ChartBar } from './components/chart-bar';
import { Charts } from './components/charts';
import { Comparison } from './components/comparison';
import { Evaluation } from './components/evaluation';
import { Header } from './components/header';
import { Help } from './components/help';
import { Log } from './components/log';
import { PhaseGraph } from './components/phase-graph';
import { PhaseTable } from './components/phase-table';
import { Pictures } from './components/pictures';
import { Recipe } from './components/recipe';
import { RunHead } from './components/run-head';
import { Samples } from './components/samples';
import { type Range, useCurves } from './curves';
import { useKeys } from './keys';
import { useLive } from './live';
import { usePhaseDetails } from './phase-details';

export function App() {
  const live = useLive();
  const [selected, setSelected] = useState(0);
  const [comparing, setComparing] = useState(false);
  const [axis, setAxis] = useState<Axis>('step');
  const [layout, setLayout] = useState<ChartLayout>('overlaid');
  const [logarithmic, setLogarithmic] = useState(false);
  const [range, setRange] = useState<Range>();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [chosen, setChosen] = useState<string>();
  const [helping, setHelping] = useState(false);

  const run = live.runs.find(({ id }) => id === selected);
  const compares = comparing && live.runs.length > 1;
  const shown = compares ? live.runs.map(({ id }) => id) : [selected];
  const { curves, version } = useCurves(live, { runs: shown, axis, layout, range });
  const phase =
    run?.phases.find((each) => each.phase === chosen) ??
    run?.phases.find(isOfInterest) ??
    run?.phases.find((each) => each.phase === 'FT' && each.state === 'done') ??
    run?.phases[0];
  const details = usePhaseDetails(selected, phase);

  const choose = (next: Axis) => {
    setRange(undefined);
    setAxis(next);
  };
  const arrange = (next: ChartLayout) => {
    setRange(undefined);
    setLayout(next);
  };
  /** A comparison opens on the results: the assembled models and the baselines. */
  const compare = () => {
    setComparing(!comparing);
    const all = live.runs.flatMap(({ phases }) => phases.map((each) => each.phase));
    const others = all.filter((name) => name !== 'FT' && name !== 'E2E');
    setHidden(new Set(comparing || others.length === all.length ? [] : others));
  };
  const turn = (by: number) => {
    const names = run?.phases.map((each) => each.phase) ?? [];
    if (phase !== undefined)
      setChosen(names[(names.indexOf(phase.phase) + by + names.length) % names.length]);
  };
  useKeys({
    '1': () => choose(AXES[0]),
    '2': () => choose(AXES[1]),
    '3': () => choose(AXES[2]),
    o: () => arrange(layout === 'overlaid' ? 'sequence' : 'overlaid'),
    l: () => setLogarithmic(!logarithmic),
    r: () => setRange(undefined),
    c: compare,
    j: () => turn(1),
    k: () => turn(-1),
    n: () => setSelected((selected + 1) % Math.max(1, live.runs.length)),
    '?': () => setHelping(!helping),
    Escape: () => setHelping(false),
  });
  useEffect(() => {
    if (run !== undefined) document.title = `${run.name} · ${run.state} · Deep Incubation`;
  }, [run?.name, run?.state]);

  return (
    <>
      <Header
        runs={live.runs}
        connection={live.connection}
        selected={selected}
        comparing={compares}
        onSelect={setSelected}
        onCompare={compare}
        onHelp={() => setHelping(true)}
      />
      <main>
        {run === undefined ? (
          <p class="empty">Reading the run…</p>
        ) : (
          <>
            <RunHead run={run} />
            <PhaseGraph run={run} chosen={phase?.phase} onChoose={setChosen} />
            {compares && <Comparison runs={live.runs} selected={selected} onSelect={setSelected} />}
            <section aria-labelledby="curves">
              <ChartBar
                run={run}
                axis={axis}
                layout={layout}
                logarithmic={logarithmic}
                hidden={hidden}
                comparing={compares}
                zoomed={range !== undefined}
                onAxis={choose}
                onLayout={arrange}
                onLogarithmic={setLogarithmic}
                onHidden={setHidden}
                onReset={() => setRange(undefined)}
              />
              <Charts
                curves={curves}
                version={version}
                axis={axis}
                logarithmic={logarithmic}
                range={range}
                hidden={hidden}
                runs={live.runs}
                comparing={compares}
                onRange={setRange}
              />
            </section>
            {phase !== undefined && details !== undefined && (
              <>
                <Evaluation run={run} phase={phase} confusion={details.confusion} onChoose={setChosen} />
                <Pictures run={run} phase={phase} drawn={details.drawn} />
                <Samples run={run} phase={phase} details={details} />
              </>
            )}
            {phase !== undefined && <Log run={run} phase={phase} onChoose={setChosen} />}
            <PhaseTable run={run} chosen={phase?.phase} />
            <Recipe runs={live.runs} run={run} />
          </>
        )}
      </main>
      {helping && <Help onClose={() => setHelping(false)} />}
    </>
  );
}

function isOfInterest({ state }: { state: string }): boolean {
  return state === 'failed' || state === 'lost' || state === 'running' || state === 'restarting';
}
