import { mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolders } from '../files/atomic.js';
import { writeDrawnDetails } from '../run/drawn-details.js';
import { runFolder } from '../run/run-folder.js';
import { drawnPhases } from './predictions-section.js';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'predictions-')));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the pictures of a run are found by a relative path and by a link, as by the absolute path', () => {
  const run = join(folder, 'run');
  const phase = runFolder(run).phase('FT');
  makeFolders(phase.root);
  const image = { index: 0, file: 'a.jpg', width: 2, height: 2, classes: [] };
  const classes = [{ class: 0, iou: 50, acc: 60, pixels: 4 }];
  writeDrawnDetails(phase, { task: 'segmentation', step: 3, classes, images: [image] }, [Uint8Array.of(1)]);
  symlinkSync(run, join(folder, 'link'));
  const expected = [
    { phase: 'FT', details: { step: 3, images: [image] }, pictures: ['data:image/png;base64,AQ=='] },
  ];
  for (const path of [run, relative(process.cwd(), run), join(folder, 'link')])
    expect(drawnPhases(path), path).toMatchObject(expected);
});
