import { useEffect, useState } from 'preact/hooks';
import type { PhaseDetails, PhaseState } from '../src/dashboard/protocol';

/** The confusion matrix, sample images and drawn predictions of a phase, fetched again after each evaluation. */
export function usePhaseDetails(run: number, phase: PhaseState | undefined): PhaseDetails | undefined {
  const [found, setFound] = useState<{ readonly of: string; readonly details: PhaseDetails }>();
  const name = phase?.phase;
  const of = `${run} ${name}`;
  useEffect(() => {
    if (name === undefined) return;
    const gone = new AbortController();
    fetch(`/api/runs/${run}/details?${new URLSearchParams({ phase: name })}`, { signal: gone.signal })
      .then((response) => (response.ok ? response.json() : undefined))
      .then(
        (details) => setFound(details && { of, details }),
        () => {},
      );
    return () => gone.abort();
  }, [of, phase?.eval_records, phase?.generation, (phase?.step_records ?? 0) > 0]);
  return found?.of === of ? found.details : undefined;
}

export function stripAddress(run: number, phase: string, kind: 'train' | 'eval', step: number): string {
  return `/api/runs/${run}/samples/${kind}/${step}?${new URLSearchParams({ phase })}`;
}

export function pictureAddress(run: number, phase: string, step: number, image: number): string {
  return `/api/runs/${run}/pictures/${step}/${image}?${new URLSearchParams({ phase })}`;
}
