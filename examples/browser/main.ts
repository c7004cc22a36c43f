import { type Classifier, type Facts, loadClassifier } from './classifier.js';
import { drawSeen, pixelsOf, softmax } from './pixels.js';

const SHOWN = 5;

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const drop = element('drop');
const file = element<HTMLInputElement>('file');
const canvas = element<HTMLCanvasElement>('seen');
const status = element('status');

function showStatus(text: string, failed = false): void {
  status.textContent = text;
  status.classList.toggle('failed', failed);
}

async function classify({ facts, logits }: Classifier, picture: Blob): Promise<void> {
  showStatus('Looking …');
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(picture);
  } catch {
    return showStatus('The browser cannot read this file as a picture.', true);
  }
  const seen = drawSeen(bitmap, canvas, facts);
  bitmap.close();
  canvas.hidden = false;
  const started = performance.now();
  const result = await logits(pixelsOf(seen, facts));
  show(result, facts);
  showStatus(
    `${Math.round(performance.now() - started)} ms for ${facts.imageSize} × ${facts.imageSize} pixels`,
  );
}

function show(logits: Float32Array, { classNames }: Facts): void {
  const best = softmax(logits)
    .map((share, label) => ({ share, name: classNames?.[label] ?? `class ${label}` }))
    .sort((a, b) => b.share - a.share)
    .slice(0, SHOWN);
  const results = element('results');
  results.dataset.logits = JSON.stringify([...logits]);
  results.replaceChildren(...best.map(({ name, share }) => row(name, share)));
}

function row(name: string, share: number): HTMLLIElement {
  const percent = `${(100 * share).toFixed(1)} %`;
  const make = (className: string, text = '') => {
    const part = document.createElement('span');
    part.className = className;
    part.textContent = text;
    return part;
  };
  const track = document.createElement('div');
  track.className = 'track';
  const bar = document.createElement('div');
  bar.className = 'bar';
  bar.style.width = `${100 * share}%`;
  track.append(bar);
  const item = document.createElement('li');
  item.append(make('name', name), make('share', percent), track);
  return item;
}

function listen(use: (picture: Blob) => void): void {
  file.addEventListener('change', () => {
    const [picture] = file.files ?? [];
    if (picture) use(picture);
    // Allows the same file to be chosen again.
    file.value = '';
  });
  for (const name of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragover');
    });
  }
  drop.addEventListener('drop', ({ dataTransfer }) => {
    const [picture] = dataTransfer?.files ?? [];
    if (picture) use(picture);
  });
}

const failed = (error: unknown) => showStatus(error instanceof Error ? error.message : String(error), true);

try {
  const classifier = await loadClassifier('/model.onnx');
  // One picture after another, in the order of their arrival.
  let before = Promise.resolve();
  listen((picture) => {
    before = before.then(() => classify(classifier, picture)).catch(failed);
  });
  file.disabled = false;
  showStatus('Ready.');
} catch (error) {
  failed(error);
}
