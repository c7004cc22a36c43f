import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { compile } from '../recipe/compile.js';
import { defineRecipe } from '../recipe/recipe.js';
import type { Recipe, RecipeInput } from '../recipe/recipe-schema.js';
import { kubernetesYaml } from './kubernetes-jobs.js';

// The schema is the published one of Kubernetes 1.37: test/fixtures/make-kubernetes-schema.py.
const { $defs } = JSON.parse(
  readFileSync(new URL('../../test/fixtures/kubernetes-job.schema.json', import.meta.url), 'utf8'),
);
const published = (name: string) => z.fromJSONSchema({ $defs, $ref: `#/$defs/${name}` });
const job = published('io.k8s.api.batch.v1.Job');
const configMap = published('io.k8s.api.core.v1.ConfigMap');

function recipe(run: RecipeInput['run'] = {}): Recipe {
  return defineRecipe({
    name: 'My run, no. 1',
    model: { preset: 'deit-tiny-128' },
    incubation: { modules: 4 },
    data: { format: 'folder', path: '/data/images' },
    phases: { E2E: {} },
    run,
  });
}

function documents(given = recipe(), phases = compile(given)) {
  const yaml = kubernetesYaml({ recipe: given, runDir: '/data/runs/a', phases });
  return parseAllDocuments(yaml).map((document) => document.toJS());
}

test('as published: a ConfigMap and a Job for each phase, one Indexed Job for the modules', () => {
  const [config, ...jobs] = documents(
    recipe({ kubernetes: { gpus: 1, cpus: 8, mem: '64Gi', namespace: 'ml' } }),
  );
  expect(configMap.parse(config)).toEqual(config);
  for (const each of jobs) expect(job.safeParse(each).error?.issues).toBeUndefined();
  expect(
    jobs.map(({ metadata, spec }) => [
      metadata.name,
      metadata.namespace,
      spec.completionMode,
      spec.completions,
    ]),
  ).toEqual([
    ['my-run-no-1-pt', 'ml', 'Indexed', 1],
    ['my-run-no-1-mt', 'ml', 'Indexed', 4],
    ['my-run-no-1-ft', 'ml', 'Indexed', 1],
    ['my-run-no-1-e2e', 'ml', 'Indexed', 1],
  ]);
  const [{ resources }] = jobs[1].spec.template.spec.containers;
  expect(resources.limits).toEqual({ cpu: '8', memory: '64Gi', 'nvidia.com/gpu': '1' });
});

test('the schema refuses invalid jobs', () => {
  const [, first] = documents();
  const spec = { ...first.spec, completions: 'four' };
  expect(job.safeParse({ ...first, spec }).success).toBe(false);
  expect(job.safeParse({ ...first, spec: { ...first.spec, completionsMode: 'Indexed' } }).success).toBe(
    false,
  );
});

test('the complete recipe is included', () => {
  const given = recipe();
  const [config] = documents(given);
  expect(JSON.parse(config.data['recipe.json'])).toEqual(JSON.parse(JSON.stringify(given)));
});

test('remaining modules keep their numbers, and wait for what they need', () => {
  const given = recipe();
  const left = compile(given).filter(({ name }) => ['MT/1', 'MT/3', 'FT'].includes(name));
  const [, modules, tuning] = documents(given, left);
  const pod = modules.spec.template.spec;
  expect(modules.spec.completions).toBe(2);
  expect(pod.containers[0].env).toContainEqual({ name: 'PHASES', value: 'MT/1 MT/3' });
  expect(pod.initContainers[0].env).toContainEqual({ name: 'NEEDS', value: 'PT' });
  expect(tuning.spec.template.spec.initContainers[0].env).toContainEqual({
    name: 'NEEDS',
    value: 'MT/0 MT/1 MT/2 MT/3',
  });
});

describe('refuses', () => {
  const yaml = (given: Recipe, runDir: string) => () =>
    kubernetesYaml({ recipe: given, runDir, phases: compile(given) });

  test('a run outside the volume', () => {
    expect(yaml(recipe(), '/home/me/a')).toThrow(InputError);
    expect(yaml(recipe(), '../a')).toThrow(InputError);
    expect(yaml(recipe(), 'runs/a')).not.toThrow();
  });

  test('several processes a phase', () => expect(yaml(recipe({ ranks: 2 }), '/data/a')).toThrow(InputError));
});
