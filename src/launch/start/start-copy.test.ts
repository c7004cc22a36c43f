import fs, {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import type { TensorData } from '../../base/tensor-data.js';
import { writeFile } from '../../files/file-bytes.js';
import { RAW } from '../../models/model-file/own-checkpoint.js';
import { saveCheckpoint } from '../../run/checkpoint-store.js';
import { readSafetensors, writeSafetensors } from '../../weights/safetensors/safetensors.js';
import { torchFileWriter } from '../../weights/torch-file/torch-file-write.js';
import { readCheckpointFile } from './checkpoint-file.js';
import { changeSinceCopy, copyFolder, hasCopy, readCopy, readGiven, type Wanted } from './start-copy.js';
import { keepWeights } from './start-copy-write.js';

const folder = testFolder();
const at = (...names: string[]) => join(folder.path, ...names);
const runDir = () => at('run');

const PREFIX = 'token.model.';
/** A tiny model of timm. */
const timm = new Map(
  [...readSafetensors('test/fixtures/pooled.safetensors').tensors]
    .filter(([name]) => name.startsWith(PREFIX))
    .map(([name, tensor]) => [name.slice(PREFIX.length), tensor] as const),
);
const ours = new Map([...timm].map(([name, tensor]) => [`stages.0.${name}`, tensor] as const));

const about = {
  seed: 3,
  depths: [2],
  model: { image_size: 16, channels: 3, classes: 5 },
  data: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], eval_crop: 0.9, exif: 'ignore', grey16: 'clip' },
} as const;

const wantedOf = (name: string, weights?: Wanted['weights']): Wanted => {
  return { id: 'model', key: 'start.model', name, weights };
};

async function keep(wanted: Wanted) {
  const checkpoint = await readCheckpointFile(wanted.name, { weights: wanted.weights });
  keepWeights(runDir(), [{ wanted, checkpoint, about }]);
  return checkpoint;
}

const scaled = (tensor: TensorData, share: number): TensorData => {
  const values = new Float32Array(tensor.data.slice().buffer).map((value) => value * share);
  return { ...tensor, data: new Uint8Array(values.buffer) };
};

/** A checkpoint of a run, with averages in the model and the trained weights beside the optimiser's state. */
function ownCheckpoint(): string {
  const phase = at('other/PT');
  mkdirSync(phase, { recursive: true });
  const raw = [...ours].map(([name, tensor]) => [RAW + name, scaled(tensor, 2)] as const);
  const { mean, std, eval_crop } = about.data;
  const manifest = { phase: 'PT', seed: 0, depths: [2], model: about.model, mean, std, eval_crop };
  return saveCheckpoint(phase, 7, { model: ours, optimizer: new Map(raw), manifest }).folder;
}

/** The kinds of weights that a run can start from. */
const SOURCES: Readonly<Record<string, () => Wanted>> = {
  'a file of timm': () => {
    writeSafetensors(at('timm.safetensors'), timm, { heads: '4', class_names: '["a","b","c","d","e"]' });
    return wantedOf(at('timm.safetensors'));
  },
  'a folder of timm': () => {
    mkdirSync(at('timm'), { recursive: true });
    writeSafetensors(at('timm/model.safetensors'), timm);
    const config = {
      model_args: { num_heads: 4 },
      pretrained_cfg: { mean: [0.1, 0.2, 0.3], std: [1, 1, 1], label_names: ['v', 'w', 'x', 'y', 'z'] },
    };
    writeFileSync(at('timm/config.json'), JSON.stringify(config));
    return wantedOf(at('timm'));
  },
  'a .pth with averages': () => {
    const ema = new Map([...timm].map(([name, tensor]) => [name, scaled(tensor, 0.5)]));
    const state = new Map(Object.entries({ model: { ordered: timm }, model_ema: { ordered: ema } }));
    writeFile(at('both.pth'), torchFileWriter(state));
    return wantedOf(at('both.pth'));
  },
  'a checkpoint of a run': () => wantedOf(ownCheckpoint()),
  'the trained weights of a checkpoint with averages': () => wantedOf(ownCheckpoint(), 'raw'),
};

test.each(Object.entries(SOURCES))('%s: its copy is read as the original was', async (_, make) => {
  const wanted = make();
  const { sha256: _hash, ...original } = await keep(wanted);
  rmSync(wanted.name, { recursive: true });
  const copy = await readGiven(runDir(), wanted);
  const file = { ...original.file, path: copyFolder(runDir(), wanted) };
  const { source: _source, classes: _classes, ...manifest } = copy.manifest ?? {};
  expect({ ...copy, manifest: copy.manifest && manifest }).toEqual({ ...original, file });
  expect(readdirSync(at('run/start'))).toEqual(['model']);
  // It is a checkpoint that every command can read.
  const { manifest: stated } = await readCheckpointFile(copyFolder(runDir(), wanted));
  expect(stated).toMatchObject({ depths: [2], model: about.model, seed: original.manifest ? 0 : 3 });
});

test('a checkpoint of this program is linked, so that the copy takes no room', async () => {
  const wanted = SOURCES['a checkpoint of a run']();
  await keep(wanted);
  const [original, copy] = [wanted.name, copyFolder(runDir(), wanted)].map((path) =>
    statSync(join(path, 'model.safetensors')),
  );
  expect(copy.ino).toBe(original.ino);
  expect(existsSync(join(copyFolder(runDir(), wanted), 'optimizer.safetensors'))).toBe(false);
});

test('where the file system cannot link, it is copied', async () => {
  const wanted = SOURCES['a checkpoint of a run']();
  const link = vi.spyOn(fs, 'linkSync').mockImplementation(() => {
    throw Object.assign(new Error('EXDEV: cross-device link not permitted'), { code: 'EXDEV' });
  });
  syncBuiltinESMExports();
  const original = await keep(wanted);
  link.mockRestore();
  syncBuiltinESMExports();
  rmSync(wanted.name, { recursive: true });
  expect((await readGiven(runDir(), wanted)).file.stages).toEqual(original.file.stages);
});

test('a changed original changes nothing, and is noted', async () => {
  const wanted = SOURCES['a file of timm']();
  const original = await keep(wanted);
  expect(changeSinceCopy(runDir(), wanted)).toBeUndefined();
  const other = new Map([...timm].map(([name, tensor]) => [name, scaled(tensor, 2)]));
  rmSync(wanted.name);
  expect(changeSinceCopy(runDir(), wanted)).toBeUndefined();
  writeSafetensors(wanted.name, other, { heads: '4' });
  expect(changeSinceCopy(runDir(), wanted)).toContain(`start.model ${wanted.name} was changed after`);
  // Neither reading nor a second preparation takes the changed file.
  expect((await readGiven(runDir(), wanted)).file.stages).toEqual(original.file.stages);
  await keep(wanted);
  expect((await readGiven(runDir(), wanted)).file.stages).toEqual(original.file.stages);
});

test('a copy that was modified is refused', async () => {
  const wanted = SOURCES['a checkpoint of a run']();
  await keep(wanted);
  const path = join(copyFolder(runDir(), wanted), 'model.safetensors');
  // As `cp other.safetensors FILE` does: the link leads to the same bytes.
  const bytes = readFileSync(path);
  bytes[bytes.length - 3] ^= 1;
  writeFileSync(join(wanted.name, 'model.safetensors'), bytes);
  await expect(readGiven(runDir(), wanted)).rejects.toThrow(
    `the run's copy of start.model ${wanted.name} is damaged: the hash of model.safetensors differs`,
  );
  rmSync(join(copyFolder(runDir(), wanted), 'manifest.json'));
  await expect(readGiven(runDir(), wanted)).rejects.toThrow('manifest.json is missing or invalid');
});

test('if the recipe names other weights, they are read and replace the copy', async () => {
  const wanted = SOURCES['a .pth with averages']();
  await keep(wanted);
  // A run records the choice.
  expect(hasCopy(runDir(), { ...wanted, weights: 'ema' })).toBe(true);
  const raw = { ...wanted, weights: 'raw' as const };
  expect(await readCopy(runDir(), raw)).toBeUndefined();
  const file = SOURCES['a file of timm']();
  expect(await readCopy(runDir(), file)).toBeUndefined();
  const original = await keep(raw);
  expect((await readCopy(runDir(), raw))?.file.stages).toEqual(original.file.stages);
  expect(hasCopy(runDir(), wanted)).toBe(false);
  expect(readdirSync(at('run/start'))).toEqual(['model']);
});

test.each(['writeSync', 'renameSync', 'fsyncSync'] as const)(
  'an interrupted copy (%s) leaves nothing half-written',
  async (call) => {
    const wanted = SOURCES['a file of timm']();
    const checkpoint = await readCheckpointFile(wanted.name);
    const failing = vi.spyOn(fs, call).mockImplementation(() => {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    });
    syncBuiltinESMExports();
    try {
      expect(() => keepWeights(runDir(), [{ wanted, checkpoint, about }])).toThrow();
    } finally {
      failing.mockRestore();
      syncBuiltinESMExports();
    }
    expect(existsSync(at('run/start')) ? readdirSync(at('run/start')) : []).toEqual([]);
    expect(hasCopy(runDir(), wanted)).toBe(false);
    await keep(wanted);
    expect(hasCopy(runDir(), wanted)).toBe(true);
  },
);

test('a run of an earlier version has no copy: the file that its recipe names is read', async () => {
  const wanted = SOURCES['a file of timm']();
  const original = await readCheckpointFile(wanted.name);
  expect(await readGiven(runDir(), wanted)).toEqual(original);
  rmSync(wanted.name);
  await expect(readGiven(runDir(), wanted)).rejects.toThrow(`${wanted.name} does not exist`);
});
