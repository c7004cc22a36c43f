import { useEffect, useState } from 'preact/hooks';
import type { Judged, PhaseState } from '../src/dashboard/protocol';

/** The confusion matrix and sample images of a phase, fetched again after each evaluation. */
export function useJudged(run: number, phase: PhaseState | undefined): Judged | undefined {
  const [found, setFound] = useState<{ readonly of: string; readonly judged: Judged }>();
  const name = phase?.phase;
  const of = `${run} ${name}`;
  useEffect(() => {
    if (name === undefined) return;
    const gone = new AbortController();
    fetch(`/api/runs/${run}/judged?${new URLSearchParams({ phase: name })}`, { signal: gone.signal })
      .then((response) => (response.ok ? response.json() : undefined))
      .then(
        (judged) => setFound(judged && { of, judged }),
        () => {},
      );
    return () => gone.abort();
  }, [of, phase?.eval_records, phase?.generation, (phase?.step_records ?? 0) > 0]);
  return found?.of === of ? found.judged : undefined;
}

export function stripAddress(run: number, phase: string, kind: 'train' | 'eval', step: number): string {
  return `/api/runs/${run}/samples/${kind}/${step}?${new URLSearchParams({ phase })}`;
}
