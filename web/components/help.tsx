import { useEffect, useRef } from 'preact/hooks';

const KEYS = [
  ['1 2 3', 'x-axis: steps, training time, cost'],
  ['o', 'overlay phases, or show them in sequence'],
  ['l', 'logarithmic loss axis'],
  ['r', 'reset zoom'],
  ['j k', 'next or previous phase'],
  ['n', 'next run'],
  ['c', 'compare runs'],
  ['+ − ← →', 'on a focused chart: zoom and pan'],
  ['?', 'show or hide this help'],
] as const;

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="help" onClose={onClose}>
      <h2 id="help">Keyboard shortcuts</h2>
      <dl>
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="note">Mouse: drag over a chart to zoom, double-click to reset.</p>
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}
