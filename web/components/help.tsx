import { useEffect, useRef } from 'preact/hooks';

const KEYS = [
  ['1 2 3', 'curves against steps, training time, cost'],
  ['o', 'phases overlaid, or one after another'],
  ['l', 'logarithmic loss'],
  ['r', 'whole range again'],
  ['j k', 'next, previous phase'],
  ['n', 'next run'],
  ['c', 'compare the runs'],
  ['+ − ← →', 'on a curve: zoom and move'],
  ['?', 'this help'],
] as const;

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="help" onClose={onClose}>
      <h2 id="help">Keyboard</h2>
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
      <p class="note">With the mouse: drag over a curve to zoom, double-click for the whole range.</p>
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}
