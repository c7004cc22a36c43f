import type { Status } from '../../src/run/phase-status';

/** A dot with a word: colour must not be the only cue. */
export function StateMark({ state, bare = false }: { state: Status; bare?: boolean }) {
  return (
    <span class={`state ${state}${bare ? ' bare' : ''}`}>
      <i aria-hidden="true" />
      <span class={bare ? 'unseen' : ''}>{state}</span>
    </span>
  );
}
