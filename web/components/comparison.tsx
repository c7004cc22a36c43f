import type { RunState } from '../../src/dashboard/protocol';
import { duration, withPrefix } from '../../src/report/format';
import { runColour } from '../look';
import { StateMark } from './state-mark';

interface ComparisonProps {
  readonly runs: readonly RunState[];
  readonly selected: number;
  readonly onSelect: (run: number) => void;
}

/** What the runs have reached, side by side. */
export function Comparison({ runs, selected, onSelect }: ComparisonProps) {
  return (
    <section aria-labelledby="comparison">
      <h2 id="comparison">Runs</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls. */}
      <section class="scroll" tabIndex={0} aria-labelledby="comparison">
        <table>
          <thead>
            <tr>
              {['Run', 'State', 'Top-1', 'End to end', 'Block-passes', 'Time'].map((head) => (
                <th scope="col" key={head}>
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {runs.map((run) => (
              <Line key={run.id} run={run} isSelected={run.id === selected} onSelect={onSelect} />
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function Line({
  run,
  isSelected,
  onSelect,
}: {
  run: RunState;
  isSelected: boolean;
  onSelect: (run: number) => void;
}) {
  const top1 = (name: string) => run.phases.find(({ phase }) => phase === name)?.top1?.toFixed(2);
  const own = run.phases.filter(({ phase }) => phase !== 'E2E');
  const sum = (key: 'seconds' | 'block_passes') => own.reduce((total, phase) => total + phase[key], 0);
  return (
    <tr class={isSelected ? 'chosen' : ''}>
      <th scope="row" class={runColour(run.id)}>
        <i class="swatch" />
        <button type="button" class="link" onClick={() => onSelect(run.id)}>
          {run.name}
        </button>{' '}
        <span class="quiet">{run.folder}</span>
      </th>
      <td class="left">
        <StateMark state={run.state} />
      </td>
      <td>{top1('FT') ?? '–'}</td>
      <td>{top1('E2E') ?? '–'}</td>
      <td>{withPrefix(sum('block_passes'))}</td>
      <td>{duration(sum('seconds'))}</td>
    </tr>
  );
}
