import { useEffect, useRef, useState } from 'preact/hooks';
import type { Points, RunState, Update } from '../src/dashboard/protocol';

export type Connection = 'connecting' | 'live' | 'lost';

export interface Live {
  readonly runs: readonly RunState[];
  readonly connection: Connection;
  /** Changes when the server restarts. */
  readonly boot: string;
  /** @returns a function that removes the listener */
  onPoints(listener: (points: readonly Points[]) => void): () => void;
}

/** The current state of the runs. After a disconnect, the browser reconnects automatically and receives the whole state. */
export function useLive(): Live {
  const [runs, setRuns] = useState<readonly RunState[]>([]);
  const [boot, setBoot] = useState('');
  const [connection, setConnection] = useState<Connection>('connecting');
  const listeners = useRef(new Set<(points: readonly Points[]) => void>()).current;

  useEffect(() => {
    const source = new EventSource('/api/events');
    source.onopen = () => setConnection('live');
    source.onerror = () => setConnection('lost');
    source.onmessage = ({ data }) => {
      const update: Update = JSON.parse(data);
      setBoot(update.boot);
      if (update.runs.length > 0) setRuns((before) => merged(before, update.runs));
      if (update.points.length > 0) for (const listener of listeners) listener(update.points);
    };
    return () => source.close();
  }, []);

  return {
    runs,
    connection,
    boot,
    onPoints: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function merged(before: readonly RunState[], changed: readonly RunState[]): RunState[] {
  const byId = new Map([...before, ...changed].map((run) => [run.id, run]));
  return [...byId.values()].sort((a, b) => a.id - b.id);
}
