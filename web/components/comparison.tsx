import type { RunState } from '../../src/dashboard/protocol';
import { duration, withPrefix } from '../../src/report/format';
import { TRAIN_TIME } from '../../src/report/labels';
import { ownNames } from '../../src/report/way';
import { capitalised, metricValue, runColour } from '../look';
import { StateMark } from './state-mark';
import { Table } from './table';

interface ComparisonProps {
  readonly runs: readonly RunState[];
  readonly selected: number;
  readonly onSelect: (run: number) => void;
}

function headsOf(runs: readonly RunState[]): string[] {
  const own = `Top-1, ${ownNames(runs)}`;
  return ['Run', 'State', own, 'Top-1, end to end', 'Block-passes', capitalised(TRAIN_TIME)];
}

/** A table that compares the results of all runs. */
export function Comparison({ runs, selected, onSelect }: ComparisonProps) {
  return (
    <section aria-labelledby="comparison">
      <Table id="comparison" title="Runs" heads={headsOf(runs)} isPart={false}>
        {runs.map((run) => (
          <Line key={run.id} run={run} isSelected={run.id === selected} onSelect={onSelect} />
        ))}
      </Table>
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
  const top1 = (name: string) => metricValue('top1', run.phases.find(({ phase }) => phase === name)?.top1);
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
      <td>{top1('FT')}</td>
      <td>{top1('E2E')}</td>
      <td>{withPrefix(sum('block_passes'))}</td>
      <td>{duration(sum('seconds'))}</td>
    </tr>
  );
}
