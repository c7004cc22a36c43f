import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Interrupted } from '../../base/errors.js';
import { type CheckpointFile, familyOfCheckpoint } from '../../launch/start/checkpoint-file.js';
import type { Layout } from '../../models/layout.js';
import { bytes } from '../../report/format.js';
import { requireRepository, uploadToHub } from '../../weights/hub/hub-upload.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { columns, note, noteAssumed, print, printJson } from '../terminal/output.js';
import { stopOnSignals } from '../terminal/signals.js';
import { type ConvertOptions, convertCheckpoint } from './convert.js';

interface PushOptions extends Pick<ConvertOptions, 'classes' | 'recipe' | 'set'> {
  readonly to?: Layout;
  readonly dryRun?: true;
  readonly private?: true;
  readonly message?: string;
  readonly weights?: WeightsKind;
  readonly json?: true;
}

/** `push`: uploads a checkpoint with its model card to a repository of the Hugging Face hub. */
export async function push(name: string, repository: string, options: PushOptions): Promise<void> {
  requireRepository(repository);
  const checkpoint = await openCheckpoint(name, options.weights);
  const to = options.to ?? formatOf(checkpoint);
  const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-push-'));
  try {
    const { classes, recipe, set } = options;
    writeFiles(checkpoint, folder, { to, classes, recipe, set });
    const files = readdirSync(folder)
      .sort()
      .map((path) => ({ path, source: join(folder, path), bytes: statSync(join(folder, path)).size }));
    const card = files.find((file) => file.path === CARD);
    if (card === undefined) note(`no model card: the run of ${name} is not known`);
    const url = options.dryRun ? null : await upload({ repository, files, name, options });
    if (options.json) {
      const listed = files.map((file) => ({ path: file.path, bytes: file.bytes }));
      printJson({ checkpoint: name, repository, format: to, dry_run: url === null, url, files: listed });
      return;
    }
    const total = files.reduce((sum, file) => sum + file.bytes, 0);
    const rows = [...files.map((file) => [file.path, bytes(file.bytes)]), ['total', bytes(total)]];
    print(...columns(rows, 2));
    if (url !== null) print(`pushed to ${url}`);
    else {
      if (card !== undefined) print('', readFileSync(card.source, 'utf8').trimEnd());
      print('', `dry run: nothing was sent to ${repository}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const CARD = 'README.md';
const WEIGHTS = 'model.safetensors';

/** Hugging Face's format, if it can hold the model: no format of other programs has a decoder. */
function formatOf(checkpoint: CheckpointFile): Layout {
  const { layouts } = familyOfCheckpoint(checkpoint);
  const hasDecoder = checkpoint.manifest?.model.decoder !== undefined;
  const isHeld = !hasDecoder && layouts.some(({ name }) => name === 'huggingface');
  const format = isHeld ? 'huggingface' : 'deep-incubation';
  noteAssumed([`--to ${format}`]);
  return format;
}

function writeFiles(checkpoint: CheckpointFile, folder: string, options: ConvertOptions): void {
  if (options.to === 'huggingface') {
    convertCheckpoint(checkpoint, folder, options);
    return;
  }
  const { card } = convertCheckpoint(checkpoint, join(folder, WEIGHTS), options);
  if (card !== undefined) renameSync(card, join(folder, CARD));
}

async function upload({
  repository,
  files,
  name,
  options,
}: {
  readonly repository: string;
  readonly files: readonly { readonly path: string; readonly source: string; readonly bytes: number }[];
  readonly name: string;
  readonly options: PushOptions;
}): Promise<string> {
  using stop = stopOnSignals();
  for (const file of files) note(`uploading ${file.path}, ${bytes(file.bytes)}`);
  try {
    return await uploadToHub({
      repository,
      files,
      title: options.message ?? `Upload ${name} with deep-incubation`,
      ...(options.private && { isPrivate: true }),
      signal: stop.signal,
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    throw stop.blame(
      new Interrupted(`the push to ${repository} was interrupted`),
      'the repository has no new commit',
    );
  }
}
