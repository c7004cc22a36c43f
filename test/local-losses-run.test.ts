import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { readModelFile } from '../src/models/model-file/model-file.js';
import { latestCheckpoint } from '../src/run/checkpoint-store.js';
import { writeCifar100 } from './cifar-100.js';
import { cli, jsonLines, start, temporaryFolder, until } from './cli-support.js';

// The recipes of CIFAR-100 at reduced size, on small images in its layout.

const recipes = fileURLToPath(new URL('../recipes/cifar-100/', import.meta.url));
const folder = temporaryFolder();

const COMMON = [
  'training.log_every=1',
  'training.checkpoint_every=0.001',
  'training.schedule.warmup=0',
  'run.device=cpu',
  'run.threads=1',
  'run.parallel=1',
  `data.path=${folder}`,
];
const SIZES: Record<string, readonly string[]> = {
  resnet: ['model.blocks=[2,2,2]', 'model.widths=[4,8,16]', 'training.batch_size=16'],
  deit: ['model.depth=4', 'model.width=24', 'training.batch_size=16', 'training.total_batch=16'],
};
const DIVISION: Record<string, readonly string[]> = {
  'resnet-110-infopro': ['phases.E2E.local.depths=[3,3]'],
  'resnet-110-dgl': ['phases.E2E.local.depths=[2,4]', 'training.schedule.milestones=[1]'],
};
const EPOCHS = ['PT', 'MT', 'FT'].map((phase) => `phases.${phase}.epochs=1`);

function settings(name: string): string[] {
  const isLocal = /-(infopro|dgl)$/.test(name);
  const size = SIZES[name.split('-')[0]] ?? [];
  return [...COMMON, ...size, ...(DIVISION[name] ?? []), ...(isLocal ? [] : EPOCHS), 'phases.E2E.epochs=2'];
}

function args(command: 'run' | 'plan', name: string, ...more: string[]): string[] {
  const sets = [...settings(name), ...more.filter((each) => each.includes('='))];
  return [
    command,
    join(recipes, `${name}.yaml`),
    ...more.filter((each) => !each.includes('=')),
    ...sets.flatMap((set) => ['--set', set]),
  ];
}

beforeAll(() => writeCifar100(folder, { train: 64, test: 20 }));

function checkpointOf(run: string): string {
  return latestCheckpoint(join(run, 'E2E')).checkpoint?.folder ?? '';
}

const FILES = ['model.safetensors', 'optimizer.safetensors', 'auxiliary.safetensors'];
const bytesOf = (run: string) => FILES.map((file) => readFileSync(join(checkpointOf(run), file)));

const names = readdirSync(recipes).map((file) => file.replace('.yaml', ''));

test('there is a recipe for each model and method', () => {
  const models = ['resnet-110', 'deit-tiny-32', 'deit-tiny-128'];
  expect(names.sort()).toEqual(models.flatMap((name) => [name, `${name}-infopro`, `${name}-dgl`]).sort());
});

test.each(names)(
  '%s runs; its model file is a plain model',
  async (name) => {
    const run = join(folder, name);
    const ended = await cli(args('run', name, '--out', run));
    expect(ended).toMatchObject({ code: 0 });
    const isLocal = /-(infopro|dgl)$/.test(name);
    expect(existsSync(join(checkpointOf(run), 'auxiliary.safetensors'))).toBe(isLocal);
    const { stages } = await readModelFile(checkpointOf(run));
    expect(stages.flatMap((stage) => [...stage.keys()]).filter((key) => key.includes('auxiliary'))).toEqual(
      [],
    );
    const planned = JSON.parse((await cli(args('plan', name, '--json'))).stdout);
    const plan = planned.phases.at(-1);
    expect(stages.map((stage) => blocksIn(stage.keys()))).toEqual(plan.depths);
    if (!isLocal) return;
    const manifest = JSON.parse(readFileSync(join(checkpointOf(run), 'manifest.json'), 'utf8'));
    expect(Object.keys(manifest.files).sort()).toEqual([...FILES].sort());
    const { stdout } = await cli(['eval', join(run, 'E2E'), '--data', folder, '--json']);
    const last = jsonLines(join(run, 'E2E/metrics.jsonl')).findLast(({ kind }) => kind === 'eval');
    expect(JSON.parse(stdout).top1).toBe(last?.top1);
  },
  300_000,
);

test("`report` on the folder of the runs prints the paper's table", async () => {
  const { code, stdout } = await cli(['report', folder]);
  expect(code).toBe(0);
  const rows = stdout.split('\n').filter((line) => /^(ResNet|DeiT)/.test(line));
  expect(rows).toHaveLength(12);
  for (const row of rows) expect(row).toMatch(/ \d\d\.\d % {2,}\d\.\d {2,}[\d.]+ % {2,}< 0\.1$/);
  expect(stdout).toMatch(/^resnet-110-dgl: .*resnet-110-dgl \(E2E 8 steps, 20 evaluation images\)$/m);
}, 60_000);

function blocksIn(keys: Iterable<string>): number {
  return new Set([...keys].flatMap((key) => /^blocks\.\d+/.exec(key)?.[0] ?? [])).size;
}

describe.each([
  ['resnet-110-infopro', ['training.ema=0.9', 'training.activation_checkpointing=true']],
  ['deit-tiny-32-dgl', ['training.total_batch=32', 'training.optimizer.sharded=true']],
] as const)('%s', (name, more) => {
  test('killed after each of three steps and resumed, it is the same, bit by bit', async () => {
    const [whole, killed] = ['whole', 'killed'].map((kind) => join(folder, `${name}-${kind}`));
    expect(await cli(args('run', name, '--out', whole, ...more))).toMatchObject({ code: 0 });
    for (const steps of [1, 2, 3]) {
      const running = start(args('run', name, '--out', killed, ...more));
      const metrics = join(killed, 'E2E/metrics.jsonl');
      await until(() => jsonLines(metrics).filter(({ kind }) => kind === 'step').length >= steps, 'a step');
      running.process.kill('SIGKILL');
      await running.ended;
    }
    expect(await cli(args('run', name, '--out', killed, ...more))).toMatchObject({ code: 0 });
    expect(bytesOf(killed)).toEqual(bytesOf(whole));
    const losses = (run: string) =>
      jsonLines(join(run, 'E2E/metrics.jsonl'))
        .filter(({ kind }) => kind === 'step')
        .map(({ loss }) => loss);
    expect(losses(killed)).toEqual(losses(whole));
  }, 300_000);
});

test('a checkpoint with damaged heads is ignored; the one before it is resumed', async () => {
  const name = 'resnet-110-dgl';
  const run = join(folder, 'damaged');
  const more = ['training.keep_checkpoints=3'];
  expect(await cli(args('run', name, '--out', run, ...more))).toMatchObject({ code: 0 });
  const before = bytesOf(run);
  writeFileSync(join(checkpointOf(run), 'auxiliary.safetensors'), 'damaged');
  rmSync(join(run, 'E2E/result.json'));
  expect(await cli(args('run', name, '--out', run, ...more))).toMatchObject({ code: 0 });
  expect(readFileSync(join(run, 'E2E/log.txt'), 'utf8')).toContain(
    'auxiliary.safetensors has 7 bytes instead',
  );
  expect(bytesOf(run)).toEqual(before);
}, 300_000);

test('two processes share the heads', async () => {
  const run = join(folder, 'ranks');
  const more = ['run.ranks=2', 'training.total_batch=32'];
  expect(await cli(args('run', 'deit-tiny-32-infopro', '--out', run, ...more))).toMatchObject({ code: 0 });
  expect(bytesOf(run)[2].length).toBeGreaterThan(1000);
}, 300_000);

test.each([
  [['phases.E2E.local={method: dgl, modules: 1}'], 'local losses need at least two modules'],
  [['phases.E2E.local={method: dgl}'], 'phases.E2E.local.modules is missing'],
  [['incubation={modules: 3}'], 'phases.E2E.local and incubation cannot be combined'],
  [
    ['incubation=none', 'start.model=some.safetensors'],
    'phases.E2E.local and start.model some.safetensors cannot',
  ],
  [['phases.E2E.freeze=[conv1.*]'], 'phases.E2E.local and freeze cannot be combined'],
  [['phases.E2E.optimizer.layer_decay=0.9'], 'phases.E2E.local and optimizer.layer_decay cannot be combined'],
  [['data.augment.mixup=0.8'], 'phases.E2E.local and mixup or cutmix cannot be combined'],
  [['training.batch_size=1'], 'phases.E2E.local and batch_size 1 cannot be combined'],
  [['phases.E2E.local.method=dgl'], 'unknown key phases.E2E.local.task'],
  [['phases.E2E.local.modules=3', 'phases.E2E.local.depths=[3,3]'], 'phases.E2E.local.depths has 2 entries'],
] as const)('%o is refused', async (more, message) => {
  const ended = await cli(args('plan', 'resnet-110-infopro', ...more));
  expect(ended.stderr).toContain(message);
  expect(ended.code).toBe(2);
});
