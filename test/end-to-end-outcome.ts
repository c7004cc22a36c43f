import { join } from 'node:path';
import { prepareRun } from '../src/launch/prepare.js';
import { runRecipePhase } from '../src/library/run-recipe.js';
import { defineRecipe } from '../src/recipe/recipe.js';
import type { RecipeInput } from '../src/recipe/recipe-schema.js';
import { loadLatest } from '../src/run/checkpoint-store.js';
import { jsonLines } from './cli-support.js';

/** Trains E2E of a recipe in this process. @param metrics of the last evaluation to return */
export async function trainedEndToEnd(input: object, runDir: string, metrics: readonly string[]) {
  const recipe = defineRecipe(input as RecipeInput);
  prepareRun(recipe, runDir);
  await runRecipePhase({ recipe, phase: 'E2E', runDir, device: 'cpu' });
  return outcomeOf(runDir, metrics);
}

/** Model and records of E2E, without times. */
export function outcomeOf(runDir: string, metrics: readonly string[]) {
  const { checkpoint } = loadLatest(join(runDir, 'E2E'));
  if (checkpoint === undefined) throw new Error(`${runDir} has no checkpoint`);
  const records = jsonLines(join(runDir, 'E2E/metrics.jsonl'));
  const steps = records.filter(({ kind }) => kind === 'step').map(({ loss, grad_norm }) => [loss, grad_norm]);
  const last = records.findLast(({ kind }) => kind === 'eval');
  const scores = Object.fromEntries(metrics.map((name) => [name, last?.[name]]));
  return { model: checkpoint.model, steps, scores };
}

type Outcome = ReturnType<typeof outcomeOf>;

const valuesOf = ({ model }: Outcome, name: string) => {
  const data = model.get(name)?.data;
  if (data === undefined) throw new Error(`no tensor ${name}`);
  return new Float32Array(new Uint8Array(data).buffer);
};

export const names = ({ model }: Outcome) => [...model.keys()];
export const largest = (values: Iterable<number>) => Math.max(...Array.from(values, Math.abs));
export const change = (a: Outcome, b: Outcome, name: string) => {
  const other = valuesOf(b, name);
  return valuesOf(a, name).map((value, i) => value - other[i]);
};
