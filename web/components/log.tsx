import { useEffect, useRef, useState } from 'preact/hooks';
import type { PhaseState, RunState } from '../../src/dashboard/protocol';
import { PhaseSelect } from './phase-select';

interface LogProps {
  readonly run: RunState;
  readonly phase: PhaseState;
  readonly onChoose: (phase: string) => void;
}

/** The end of a phase's log. It follows new lines while it is scrolled to the end. */
export function Log({ run, phase, onChoose }: LogProps) {
  const [lines, setLines] = useState<readonly string[]>([]);
  const box = useRef<HTMLElement>(null);
  const follows = useRef(true);

  useEffect(() => {
    const gone = new AbortController();
    const asked = new URLSearchParams({ phase: phase.phase });
    fetch(`/api/runs/${run.id}/log?${asked}`, { signal: gone.signal })
      .then((response) => (response.ok ? response.json() : []))
      .then(setLines, () => {});
    return () => gone.abort();
  }, [run.id, phase.phase, phase.log_bytes]);
  useEffect(() => {
    if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);

  const onScroll = () => {
    const { scrollTop = 0, clientHeight = 0, scrollHeight = 0 } = box.current ?? {};
    follows.current = scrollTop + clientHeight > scrollHeight - 24;
  };
  return (
    <section aria-labelledby="log">
      <div class="with-choice">
        <h2 id="log">Log</h2>
        <PhaseSelect label="Phase of the log" run={run} phase={phase} onChoose={onChoose} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrollable. */}
      <section class="log" ref={box} tabIndex={0} aria-labelledby="log" onScroll={onScroll}>
        <pre>
          {lines.length === 0 && <span class="quiet">{phase.phase} has no log yet.</span>}
          {lines.map((line, i) => {
            const { time, text } = parted(line);
            return (
              <span class={/\b(error|failed|exited|killed)\b/i.test(text) ? 'bad' : ''} key={i}>
                {time && <time>{time} </time>}
                {text}
                {'\n'}
              </span>
            );
          })}
        </pre>
      </section>
      {phase.damaged_lines > 0 && (
        <p class="note">
          Ignored {phase.damaged_lines} invalid {phase.damaged_lines === 1 ? 'line' : 'lines'} in this phase's
          metrics.jsonl.
        </p>
      )}
    </section>
  );
}

function parted(line: string): { time?: string; text: string } {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d+Z (.*)$/.exec(line);
  return found ? { time: `${found[1]} ${found[2]}`, text: found[3] } : { text: line };
}
