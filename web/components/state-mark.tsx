import type { State } from '../../src/dashboard/protocol';
import { STATE_WORDS } from '../look';

/** A dot and a word: never a colour alone. */
export function StateMark({ state, bare = false }: { state: State; bare?: boolean }) {
  return (
    <span class={`state ${state}${bare ? ' bare' : ''}`}>
      <i aria-hidden="true" />
      <span class={bare ? 'unseen' : ''}>{STATE_WORDS[state]}</span>
    </span>
  );
}
