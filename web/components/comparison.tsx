import { type RunState, stateScore } from '../../src/dashboard/protocol';
import { duration, TRAIN_TIME, withPrefix } from '../../src/report/format';
import { ownNames } from '../../src/report/way';
import { scoreText } from '../../src/run/metric';
import { capitalised, runColour } from '../look';
import { StateMark } from './state-mark';
import { Table } from './table';

interface ComparisonProps {
  readonly runs: readonly RunState[];
  readonly selected: number;
  readonly onSelect: (run: number) => void;
}

function headsOf(runs: readonly RunState[]): string[] {
  const labels = [...new Set(runs.map(({ primary }) => capitalised(primary.label)))].join(' or ');
  return [
    'Run',
    'State',
    `${labels}, ${ownNames(runs)}`,
    `${labels}, end to end`,
    'Block-passes',
    capitalised(TRAIN_TIME),
  ];
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
  const score = (name: string) => {
    const phase = run.phases.find((each) => each.phase === name);
    const value = phase === undefined ? null : stateScore(phase, run.primary);
    return value === null ? '–' : scoreText(run.primary, value);
  };
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
      <td>{score('FT')}</td>
      <td>{score('E2E')}</td>
      <td>{withPrefix(sum('block_passes'))}</td>
      <td>{duration(sum('seconds'))}</td>
    </tr>
  );
}
