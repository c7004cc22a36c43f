import type { PhaseState, RunState } from '../../src/dashboard/protocol';

interface PhaseSelectProps {
  readonly label: string;
  readonly run: RunState;
  readonly phase: PhaseState;
  readonly onChoose: (phase: string) => void;
}

export function PhaseSelect({ label, run, phase, onChoose }: PhaseSelectProps) {
  return (
    <select aria-label={label} value={phase.phase} onChange={(e) => onChoose(e.currentTarget.value)}>
      {run.phases.map((each) => (
        <option key={each.phase} value={each.phase}>
          {each.phase}
        </option>
      ))}
    </select>
  );
}
