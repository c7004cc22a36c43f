import type { RunState } from '../../src/dashboard/protocol';
import type { Connection } from '../live';
import { runColour } from '../look';
import { StateMark } from './state-mark';

const WORDS: Readonly<Record<Connection, string>> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'connection lost, reconnecting',
};

interface HeaderProps {
  readonly runs: readonly RunState[];
  readonly connection: Connection;
  readonly selected: number;
  readonly comparing: boolean;
  readonly onSelect: (run: number) => void;
  readonly onCompare: () => void;
  readonly onHelp: () => void;
}

export function Header(props: HeaderProps) {
  const { runs, connection, selected, comparing, onSelect, onCompare, onHelp } = props;
  return (
    <header>
      <div class="bar">
        <span class="brand">
          <img src="/icon.svg" alt="" width="18" height="18" />
          Deep Incubation
        </span>
        {runs.length > 1 && (
          <nav aria-label="Runs">
            {runs.map(({ id, name, folder, state }) => (
              <button
                type="button"
                key={id}
                class={`tab ${comparing ? runColour(id) : ''}`}
                aria-current={id === selected}
                title={folder}
                onClick={() => onSelect(id)}
              >
                {comparing ? <i class="swatch" /> : <StateMark state={state} bare />}
                {runs.some((other) => other.id !== id && other.name === name) ? folder : name}
              </button>
            ))}
            <button type="button" class="tab compare" aria-pressed={comparing} onClick={onCompare}>
              Compare
            </button>
          </nav>
        )}
        <span class={`connection ${connection}`} role="status">
          <i aria-hidden="true" />
          {WORDS[connection]}
        </span>
        <button type="button" class="icon" aria-label="Keyboard shortcuts" onClick={onHelp}>
          ?
        </button>
      </div>
    </header>
  );
}
