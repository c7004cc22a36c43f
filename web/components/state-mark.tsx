import type { StandState } from '../../src/report/run-stand';
import { STATE_WORDS } from '../look';

/** A dot with a word: colour must not be the only cue. */
export function StateMark({ state, bare = false }: { state: StandState; bare?: boolean }) {
  return (
    <span class={`state ${state}${bare ? ' bare' : ''}`}>
      <i aria-hidden="true" />
      <span class={bare ? 'unseen' : ''}>{STATE_WORDS[state]}</span>
    </span>
  );
}
