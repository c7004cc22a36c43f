import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { maxDifference, numbers } from '../../../test/support.js';
import type { TensorData } from '../../base/tensor-data.js';
import { teacherOf } from '../../phase/phase-objective.js';
import { compile } from '../../recipe/compile.js';
import { defineRecipe } from '../../recipe/recipe.js';
import { noGrad } from '../../torch/autograd.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromArray, fromData } from '../../torch/tensor.js';
import { readSafetensors, writeSafetensors } from '../../weights/safetensors/safetensors.js';
import { readTeacher } from './given-weights.js';

const folder = mkdtempSync(join(tmpdir(), 'teacher-'));
afterAll(() => rmSync(folder, { recursive: true }));

const { tensors } = readSafetensors('test/fixtures/pooled.safetensors');
const named = (name: string) => tensors.get(name) as TensorData;

const MEAN = [0.1, 0.2, 0.3];
const STD = [0.4, 0.5, 0.6];

/** A model of timm that states how its images are normalised. */
function written(): string {
  const path = join(folder, 'timm');
  mkdirSync(path, { recursive: true });
  const prefix = 'token.model.';
  const model = [...tensors].filter(([name]) => name.startsWith(prefix));
  writeSafetensors(
    join(path, 'model.safetensors'),
    new Map(model.map(([name, t]) => [name.slice(prefix.length), t])),
  );
  const config = { model_args: { num_heads: 4 }, pretrained_cfg: { mean: MEAN, std: STD } };
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  return path;
}

const student = defineRecipe({
  name: 'student',
  model: { image_size: 16, patch_size: 4, width: 16, depth: 2, heads: 4, classes: 5 },
  incubation: { modules: 2 },
  data: { format: 'folder', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
});
const [phase] = compile(student);

/** timm's images, which are normalised with the teacher's mean and deviation, as the student's are. */
function ofStudent(): Float32Array {
  const images = numbers(named('images'));
  const channelOf = (i: number) => Math.floor(i / 256) % 3;
  return Float32Array.from(images, (value, i) => {
    const channel = channelOf(i);
    return (value * STD[channel] + MEAN[channel] - 0.5) / 0.5;
  });
}

test("a teacher sees the student's images as it was trained: its logits are timm's", async () => {
  const context = { device: 'cpu', generator: new Generator() };
  const pass = { training: false, generator: context.generator, key: [] };
  const own = teacherOf(
    await readTeacher({ teacher: written(), normalise: 'own' }, phase, folder),
    phase,
    context,
  );
  const logits = scope(() =>
    noGrad(() => Array.from(own.forward(fromArray(ofStudent(), [2, 3, 16, 16]), pass).toFloat32Array())),
  );
  expect(maxDifference(logits, numbers(named('token.logits')))).toBeLessThan(1e-5);
  // Runs of versions that did not record it continue as they started.
  const before = teacherOf(await readTeacher({ teacher: written() }, phase, folder), phase, context);
  const unconverted = scope(() =>
    noGrad(() => Array.from(before.forward(fromData(named('images')), pass).toFloat32Array())),
  );
  expect(maxDifference(unconverted, numbers(named('token.logits')))).toBeLessThan(1e-5);
});
