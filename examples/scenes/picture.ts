import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { folderOf, type SceneTask, STARTS } from './experiment.js';

const [SCALE, GAP] = [3, 6];

/**
 * Draws predictions of a seed's models for a task: a row for each image, with the image, its labels, and the predictions from scratch, with the
 * end-to-end backbone and with the incubated backbone. The runs keep the pictures of their last evaluation.
 */
export async function drawPredictions(root: string, task: SceneTask, file: string): Promise<void> {
  const strips = STARTS.map((start) => stripsOf(folderOf(root, task, start)));
  const [{ width = 0, height = 0 }] = await Promise.all(strips[0].map((strip) => sharp(strip).metadata()));
  const side = width / 3;
  const [cell, row] = [SCALE * side, SCALE * height];
  /** Panel 0 of a strip is the image, 1 its labels, 2 the prediction. */
  const panel = (strip: string, place: number) =>
    sharp(strip)
      .extract({ left: place * side, top: 0, width: side, height })
      .resize(cell, row, { kernel: 'nearest' })
      .toBuffer();
  const rows = strips[0].map((first, image) => [
    panel(first, 0),
    panel(first, 1),
    ...strips.map((each) => panel(each[image], 2)),
  ]);
  const parts = await Promise.all(
    rows.flatMap((panels, y) =>
      panels.map(async (input, x) => ({ input: await input, left: x * (cell + GAP), top: y * (row + GAP) })),
    ),
  );
  const [columns, lines] = [rows[0].length, rows.length];
  const size = { width: columns * (cell + GAP) - GAP, height: lines * (row + GAP) - GAP };
  await sharp({ create: { ...size, channels: 3, background: 'white' } })
    .composite(parts)
    .png({ palette: true })
    .toFile(file);
}

/** The pictures that a run kept of FT, or of E2E if it has no FT. */
function stripsOf(run: string): string[] {
  const samples = ['FT', 'E2E']
    .map((phase) => join(run, phase, 'samples'))
    .find((folder) => existsSync(folder));
  if (samples === undefined) throw new Error(`${run} has no pictures`);
  const names = readdirSync(samples).filter((name) => name.startsWith('map-'));
  return names.sort().map((name) => join(samples, name));
}
