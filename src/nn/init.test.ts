import { expect, test } from 'vitest';
import { Generator } from '../torch/random.js';
import { liveHandles } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import { fanInParameter, type InitContext, normalParameter, oneParameter, zeroParameter } from './init.js';
import { LayerNorm, Linear, Mlp } from './layers.js';

const context = (): InitContext => ({
  device: 'cpu',
  dtype: 'F32',
  generator: new Generator().seed(['init']),
});

function statistics(tensor: Tensor) {
  const values = tensor.toFloat32Array();
  const moment = (order: number, about: number) =>
    values.reduce((s, v) => s + (v - about) ** order, 0) / values.length;
  const mean = moment(1, 0);
  const variance = moment(2, mean);
  const extreme = values.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
  return { mean, deviation: Math.sqrt(variance), kurtosis: moment(4, mean) / variance ** 2, extreme };
}

test('weights are N(0, 0.02^2), not cut at two deviations', () => {
  const { mean, deviation, kurtosis, extreme } = statistics(normalParameter([400, 500], context()));
  expect(Math.abs(mean)).toBeLessThan(2e-4);
  expect(Math.abs(deviation / 0.02 - 1)).toBeLessThan(0.01);
  expect(Math.abs(kurtosis - 3)).toBeLessThan(0.05);
  expect(extreme).toBeGreaterThan(4 * 0.02);
  expect(extreme).toBeLessThan(6 * 0.02);
});

test('convolutions are uniform within 1/sqrt(fan in)', () => {
  const bound = 1 / Math.sqrt(48);
  const { mean, deviation, kurtosis, extreme } = statistics(fanInParameter([4000, 3, 4, 4], 48, context()));
  expect(Math.abs(mean)).toBeLessThan(1e-3);
  expect(Math.abs(deviation / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.01);
  expect(Math.abs(kurtosis - 1.8)).toBeLessThan(0.02);
  expect(extreme).toBeLessThanOrEqual(Math.fround(bound));
  expect(extreme).toBeGreaterThan(0.999 * bound);
});

test('layers: weights normal, biases 0, norms 1 and 0', () => {
  const linear = new Linear(300, 200, context());
  expect(linear.weight.shape).toEqual([200, 300]);
  expect(Math.abs(statistics(linear.weight).deviation / 0.02 - 1)).toBeLessThan(0.02);
  expect(new Set(linear.bias?.toFloat32Array())).toEqual(new Set([0]));
  expect(new Linear(3, 2, context(), { bias: false }).bias).toBeNull();

  const norm = new LayerNorm(5, 1e-6, context());
  expect([...norm.weight.toFloat32Array()]).toEqual([1, 1, 1, 1, 1]);
  expect([...norm.bias.toFloat32Array()]).toEqual([0, 0, 0, 0, 0]);
});

test('parameters are trainable, have the requested dtype, and depend on the generator', () => {
  const wide: InitContext = { ...context(), dtype: 'F64' };
  for (const made of [
    normalParameter([2], wide),
    fanInParameter([2], 2, wide),
    zeroParameter([2], wide),
    oneParameter([2], wide),
  ]) {
    expect(made.requiresGrad).toBe(true);
    expect(made.dtype).toBe('F64');
  }
  const values = () => Array.from(new Mlp(4, 8, context()).fc2.weight.toFloat32Array());
  expect(values()).toEqual(values());
});

test('a module frees its parameters', () => {
  const before = liveHandles();
  const { generator, ...rest } = context();
  const mlp = new Mlp(4, 8, { ...rest, generator });
  expect(liveHandles() - before).toBe(5);
  mlp.free();
  mlp.free();
  expect(liveHandles() - before).toBe(1);
});
