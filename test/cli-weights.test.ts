import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { writeFile } from '../src/files/file-bytes.js';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { type TorchValue, torchFileWriter } from '../src/weights/torch-file/torch-file-write.js';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';
import { startFakeHub } from './fake-hub.js';

const folder = temporaryFolder();
const images = join(folder, 'images');

type Weights = ReadonlyMap<string, TensorData>;

/** A tiny model of timm: 16 px, patches of 4, width 16, 2 blocks, 4 heads; with a head of 2 classes. */
const model = tinyModel();

function tinyModel(): Weights {
  const { tensors } = readSafetensors('test/fixtures/pooled.safetensors');
  const prefix = 'token.model.';
  const whole = [...tensors].filter(([name]) => name.startsWith(prefix));
  const rows = (tensor: TensorData, count: number): TensorData => {
    const bytes = (tensor.data.length / tensor.shape[0]) * count;
    return { ...tensor, shape: [count, ...tensor.shape.slice(1)], data: tensor.data.slice(0, bytes) };
  };
  return new Map(
    whole.map(([name, tensor]) => {
      const local = name.slice(prefix.length);
      return [local, local.startsWith('head.') ? rows(tensor, 2) : tensor];
    }),
  );
}

/** The same weights, each multiplied by a factor. */
function scaled(weights: Weights, share: number): Weights {
  return new Map(
    [...weights].map(([name, tensor]) => {
      const values = new Float32Array(tensor.data.slice().buffer).map((value) => value * share);
      return [name, { ...tensor, data: new Uint8Array(values.buffer) }];
    }),
  );
}

const vector = (length: number, value = 1): TensorData => {
  return { dtype: 'F32', shape: [length], data: new Uint8Array(new Float32Array(length).fill(value).buffer) };
};
const prefixed = (weights: Weights, prefix: string) =>
  new Map([...weights].map(([name, tensor]) => [prefix + name, tensor]));
const dictionary = (entries: Readonly<Record<string, Weights>>) =>
  new Map<string, TorchValue>(Object.entries(entries).map(([key, state]) => [key, { ordered: state }]));
const torch = (name: string, value: TorchValue) => {
  const path = join(folder, name);
  writeFile(path, torchFileWriter(value));
  return path;
};
const heads = ['--set', 'model.heads=4'];
const evaluate = (path: string, ...args: string[]) =>
  cli(['eval', path, '--data', images, '--json', ...heads, ...args]);
const lossOf = async (path: string, ...args: string[]) => {
  const { code, stdout, stderr } = await evaluate(path, ...args);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout).loss as number;
};

let plain: string;
let loss: { raw: number; averaged: number };

beforeAll(async () => {
  await writeImages(images, { train: 8, val: 2 });
  plain = torch('plain.pth', { ordered: model });
  const averaged = torch('averaged.pth', { ordered: scaled(model, 0.5) });
  loss = { raw: await lossOf(plain), averaged: await lossOf(averaged) };
  expect(Math.abs(loss.raw - loss.averaged)).toBeGreaterThan(1e-3);
}, 120_000);

describe('a file with plain and averaged weights', () => {
  const ema = scaled(model, 0.5);

  test.each([
    ['model', 'model_ema', dictionary({ model, model_ema: ema })],
    ['state_dict', 'state_dict_ema', dictionary({ state_dict: model, state_dict_ema: ema })],
    ['params', 'shadow_params', dictionary({ params: model, shadow_params: ema })],
    [
      'net',
      'ema.module',
      new Map<string, TorchValue>([
        ['net', { ordered: model }],
        ['ema', new Map<string, TorchValue>([['module', { ordered: prefixed(ema, 'module.') }]])],
      ]),
    ],
    [
      'student.backbone.',
      'teacher.backbone.',
      { ordered: new Map([...prefixed(model, 'student.backbone.'), ...prefixed(ema, 'teacher.backbone.')]) },
    ],
  ] as const)('%s and %s: averaged by default, and the choice is printed', async (raw, averaged, value) => {
    const path = torch('both.pth', value);
    const byDefault = await evaluate(path);
    expect(byDefault.code).toBe(0);
    expect(byDefault.stderr).toContain(
      `${path}: averaged weights (ema), from ${averaged}; not used: ${raw} (--weights raw selects them)\n`,
    );
    expect(JSON.parse(byDefault.stdout)).toMatchObject({ loss: loss.averaged, weights: 'ema' });
    const asked = await evaluate(path, '--weights', 'raw');
    expect(asked.stderr).toContain(`weights as trained (raw), from ${raw}; not used: ${averaged}`);
    expect(JSON.parse(asked.stdout)).toMatchObject({ loss: loss.raw, weights: 'raw' });
  });

  test('only the average loads; a missing choice is refused', async () => {
    const path = torch('alone.pth', dictionary({ model_ema: ema }));
    const { stderr, stdout } = await evaluate(path);
    expect(JSON.parse(stdout).loss).toBe(loss.averaged);
    expect(stderr).toContain('averaged weights (ema), from model_ema\n');
    const raw = await evaluate(path, '--weights', 'raw');
    expect(raw).toMatchObject({ code: 2, stdout: '' });
    expect(raw.stderr).toContain(`${path}: has no raw weights, only model_ema\n  hint: use --weights ema`);
    const none = await evaluate(plain, '--weights', 'ema');
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toContain(`${plain}: has no averaged weights`);
  });

  test('convert, inspect and export make the same choice', async () => {
    const path = torch('chosen.pth', dictionary({ model, model_ema: ema }));
    const out = (name: string) => join(folder, name);
    for (const [kind, expected] of Object.entries({ raw: loss.raw, ema: loss.averaged })) {
      const file = out(`${kind}.safetensors`);
      expect((await cli(['convert', path, file, '--to', 'timm', '--weights', kind])).code).toBe(0);
      expect(await lossOf(file)).toBe(expected);
    }
    const inspected = await cli(['inspect', path, '--json', '--weights', 'raw']);
    expect(JSON.parse(inspected.stdout).weights).toEqual({
      kind: 'raw',
      from: 'model',
      others: ['model_ema'],
    });
    const exported = await cli(['export', path, out('x.onnx'), ...heads]);
    expect(exported.code).toBe(0);
    expect(exported.stderr).toContain('averaged weights (ema), from model_ema; not used: model');
  });
});

test.each([
  ['model_state_dict', dictionary({ model_state_dict: model })],
  ['net', dictionary({ net: prefixed(model, 'module.') })],
  ['model.backbone. and a separate head', { ordered: besideBackbone('model.backbone.', 'model.head.') }],
  [
    '_orig_mod.encoder.vit. and a classifier beside it',
    { ordered: besideBackbone('_orig_mod.encoder.vit.', 'classifier.') },
  ],
  [
    'wrappers inside blocks',
    {
      ordered: new Map([...model].map(([name, t]) => [name.replace(/^(blocks\.\d+)\./, '$1._orig_mod.'), t])),
    },
  ],
  [
    'a checkpoint in a checkpoint',
    new Map([['state', dictionary({ model: prefixed(model, 'net.module.') })]]),
  ],
] as const)('%s is read', async (_, value) => {
  expect(await lossOf(torch('wrapped.pth', value as TorchValue))).toBe(loss.raw);
});

function besideBackbone(prefix: string, head: string): Weights {
  return new Map(
    [...model].map(([name, tensor]) => [
      name.startsWith('head.') ? name.replace('head.', head) : prefix + name,
      tensor,
    ]),
  );
}

describe('tensors that pre-training leaves in a file', () => {
  const extras = ['mask_token', 'decoder_embed.weight', 'decoder.0.bias', 'projection_head.0.weight'];

  test('are listed and left out; unknown ones are refused by name', async () => {
    const rest = new Map(extras.map((name) => [name, vector(3)]));
    const path = torch('pretrained.pth', { ordered: new Map([...model, ...rest]) });
    const { code, stdout, stderr } = await evaluate(path);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).loss).toBe(loss.raw);
    expect(stderr).toContain(
      `4 tensors ignored, because the model does not use them: ${extras.join(', ')}\n`,
    );
    const unknown = await evaluate(
      torch('unknown.pth', { ordered: new Map([...model, ['rope_freqs', vector(3)]]) }),
    );
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toContain('contains rope_freqs, which the model does not have');
  });

  test('pre_logits is left out as in timm, with a message', async () => {
    const path = torch('logits.pth', { ordered: new Map([...model, ['pre_logits.fc.weight', vector(3)]]) });
    const { stderr, stdout } = await evaluate(path);
    expect(stderr).toContain('1 tensor ignored, because the model does not use them: pre_logits.fc.weight\n');
    expect(stderr).toContain('assumed: the head uses the features without pre_logits, as in timm\n');
    expect(JSON.parse(stdout).loss).toBe(loss.raw);
  });
});

describe('weights or losses that are not finite', () => {
  test.each([
    ['NaN', Number.NaN, 'blocks.1.norm1.bias'],
    ['an infinity', Number.POSITIVE_INFINITY, 'norm.bias'],
  ])('%s ends eval with 1, and names the first tensor', async (_, value, name) => {
    const path = torch('nan.pth', { ordered: new Map([...model, [name, vector(16, value)]]) });
    const { code, stdout, stderr } = await evaluate(path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`${path}: the tensor ${name} is not finite`);
  });

  test('a non-finite loss of finite weights', async () => {
    const path = torch('huge.pth', { ordered: new Map([...model, ['norm.bias', vector(16, 3e38)]]) });
    const { code, stdout, stderr } = await evaluate(path);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /the loss is not finite \(\w+\), although all weights are; .* 3\.0e\+38, in norm\.bias/,
    );
  });
});

test.each([
  ['google/vit-base-patch16-224', 'hf:google/vit-base-patch16-224'],
  ['timm/deit_tiny_patch16_224.fb_in1k', 'hf:timm/deit_tiny_patch16_224.fb_in1k'],
  [
    'https://huggingface.co/facebook/deit-tiny/blob/main/model.safetensors',
    'hf:facebook/deit-tiny/model.safetensors',
  ],
])('%s: did you mean the hub?', async (path, meant) => {
  const { code, stderr } = await evaluate(path);
  expect(code).toBe(2);
  expect(stderr).toContain(`error: ${path} does not exist\n  hint: did you mean ${meant}?\n`);
});

test('pytorch_model.bin, and its index of several files', async () => {
  const [whole, parts] = ['bin', 'parts'].map((name) => join(folder, name));
  mkdirSync(whole);
  mkdirSync(parts);
  torch('bin/pytorch_model.bin', { ordered: model });
  const names = [...model.keys()];
  const files = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin'];
  const place = (i: number) => files[i < names.length / 2 ? 0 : 1];
  for (const file of files) {
    const part = [...model].filter((_, i) => place(i) === file);
    torch(join('parts', file), { ordered: new Map(part) });
  }
  const weight_map = Object.fromEntries(names.map((name, i) => [name, place(i)]));
  writeFileSync(join(parts, 'pytorch_model.bin.index.json'), JSON.stringify({ metadata: {}, weight_map }));
  expect(await lossOf(whole)).toBe(loss.raw);
  expect(await lossOf(parts)).toBe(loss.raw);
  expect(await lossOf(join(parts, 'pytorch_model.bin.index.json'))).toBe(loss.raw);
});

test('pytorch_model.bin in several files, from a hub', async () => {
  const path = (name: string) => join(folder, 'parts', name);
  const names = ['pytorch_model.bin.index.json', ...[1, 2].map((i) => `pytorch_model-0000${i}-of-00002.bin`)];
  const hub = await startFakeHub(Object.fromEntries(names.map((name) => [name, readFileSync(path(name))])));
  const env = { HF_ENDPOINT: hub.address, DEEP_INCUBATION_CACHE: join(folder, 'hub-cache') };
  const fromHub = (name: string, more: NodeJS.ProcessEnv = {}) =>
    cli(['eval', name, '--data', images, '--json', ...heads], { env: { ...env, ...more } });
  try {
    const { code, stdout } = await fromHub('hf:someone/vits');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).loss).toBe(loss.raw);
    const again = await fromHub('hf:someone/vits/pytorch_model.bin.index.json', { HF_HUB_OFFLINE: '1' });
    expect(JSON.parse(again.stdout).loss).toBe(loss.raw);
  } finally {
    hub.close();
  }
});

describe('a run that starts from weights', () => {
  const half = [0.5, 0.5, 0.5];
  let timm: string;

  /** As an older timm wrote it: the keys of `pretrained_cfg` are in the file itself. */
  beforeAll(() => {
    timm = join(folder, 'timm');
    mkdirSync(timm);
    writeSafetensors(join(timm, 'model.safetensors'), model);
    const flat = { mean: half, std: half, crop_pct: 0.9, interpolation: 'bicubic', input_size: [3, 16, 16] };
    writeFileSync(
      join(timm, 'config.json'),
      JSON.stringify({ architecture: 'vit', num_classes: 2, ...flat }),
    );
  });

  /** A recipe that fine-tunes weights of the tiny model. */
  const recipe = (
    name: string,
    { start, data = {}, model = {}, phases = {} }: Readonly<Record<string, object | undefined>>,
  ) => {
    const tiny = tinyRecipe(images) as { data: object };
    const path = join(folder, `${name}.yaml`);
    const geometry = {
      image_size: 16,
      patch_size: 4,
      classes: 2,
      width: 16,
      depth: 2,
      heads: 4,
      mlp_ratio: 2,
    };
    const written = {
      ...tiny,
      start,
      model: { ...geometry, ...model },
      data: { ...tiny.data, ...data },
      training: { epochs: 1, batch_size: 8, schedule: { kind: 'step-cosine', warmup: 0 } },
      phases: { E2E: 'none', ...phases },
    };
    writeFileSync(path, JSON.stringify(written));
    return path;
  };
  const run = (path: string, out: string, ...args: string[]) =>
    cli(['run', path, '--out', join(folder, out), ...args]);
  const recorded = (out: string) => JSON.parse(readFileSync(join(folder, out, 'recipe.json'), 'utf8'));
  const manifest = (out: string) => {
    const checkpoints = join(folder, out, 'FT', 'checkpoints');
    const step = readFileSync(join(checkpoints, 'latest'), 'utf8').trim();
    return JSON.parse(readFileSync(join(checkpoints, step, 'manifest.json'), 'utf8'));
  };

  test('mean, deviation and crop are those of the weights; a resumed run keeps them', async () => {
    const path = recipe('own', { start: { model: timm } });
    const first = await run(path, 'own');
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(
      `start.model ${timm} states data.mean [0.5,0.5,0.5], data.std [0.5,0.5,0.5], data.eval_crop 0.9: taken\n`,
    );
    expect(recorded('own').data).toMatchObject({ mean: half, std: half, eval_crop: 0.9 });
    expect(manifest('own')).toMatchObject({ mean: half, std: half, eval_crop: 0.9 });
    // The weights were deleted and their config was changed: the run keeps its recorded values.
    writeFileSync(join(timm, 'config.json'), '{}');
    const again = await run(path, 'own');
    expect(again.code).toBe(0);
    expect(recorded('own').data.mean).toEqual(half);
  });

  test('the recipe takes precedence, and a difference is printed; what neither states is assumed', async () => {
    const own = { mean: [0.4, 0.4, 0.4], std: half, eval_crop: 0.8 };
    const stating = join(folder, 'stating');
    mkdirSync(stating);
    writeSafetensors(join(stating, 'model.safetensors'), model);
    const pretrained_cfg = { mean: half, std: half, crop_pct: 0.9, interpolation: 'bilinear' };
    writeFileSync(join(stating, 'config.json'), JSON.stringify({ pretrained_cfg }));
    const { code, stderr } = await run(recipe('stated', { start: { model: stating }, data: own }), 'stated');
    expect(code).toBe(0);
    expect(stderr).toContain(
      `start.model ${stating} states data.mean [0.5,0.5,0.5], the recipe [0.4,0.4,0.4]: the recipe's is used\n`,
    );
    expect(stderr).toContain('states data.eval_crop 0.9, the recipe 0.8');
    expect(stderr).toContain(
      'assumed: images of 16 x 16, without resizing (its config.json says interpolation bilinear)',
    );
    expect(recorded('stated').data).toMatchObject(own);

    const unknown = await run(recipe('unknown', { start: { model: plain } }), 'unknown');
    expect(unknown.stderr).toContain(
      `assumed: mean [0.485, 0.456, 0.406] (ImageNet's), of start.model ${plain}\n`,
    );
    expect(recorded('unknown').data.mean).toEqual([0.485, 0.456, 0.406]);
  });

  describe('an interpolation that this program does not support', () => {
    const stated = { mean: half, std: half, crop_pct: 0.9, interpolation: 'bilinear' };
    const WEIGHTS: [string, string, (place: string) => Promise<void>][] = [
      [
        "timm's pretrained_cfg",
        'config.json says interpolation bilinear',
        async (place) => writeTimm(place, { pretrained_cfg: stated }),
      ],
      [
        "an older timm's flat config.json",
        'config.json says interpolation bilinear',
        async (place) => writeTimm(place, { architecture: 'vit', num_classes: 2, ...stated }),
      ],
      [
        "transformers' preprocessor_config.json",
        'preprocessor_config.json says resampling bilinear',
        async (place) => {
          const args = ['--to', 'huggingface', '--set', 'model.heads=4', '--force'];
          expect(await cli(['convert', plain, place, ...args])).toMatchObject({ code: 0 });
          const processor = {
            do_resize: true,
            size: { shortest_edge: 18 },
            resample: 2,
            do_center_crop: true,
            crop_size: { height: 16, width: 16 },
            image_mean: half,
            image_std: half,
          };
          writeFileSync(join(place, 'preprocessor_config.json'), JSON.stringify(processor));
        },
      ],
    ];

    function writeTimm(place: string, config: object): void {
      mkdirSync(place);
      writeSafetensors(join(place, 'model.safetensors'), model);
      writeFileSync(join(place, 'config.json'), JSON.stringify(config));
    }

    test.each(WEIGHTS)(
      'of %s is named, with what is used, by eval and by a run',
      async (name, says, write) => {
        const place = join(folder, name.replaceAll(/\W/g, '-'));
        await write(place);
        const line = `assumed: images of 16 x 16, without resizing (its ${says})`;
        const { code, stderr } = await evaluate(place, '--set', 'model.heads=4');
        expect(code).toBe(0);
        expect(stderr.split(line)).toHaveLength(2);
        for (const key of ['model', 'meta']) {
          const path = recipe(`stated-${key}`, {
            start: { [key]: place },
            model: { heads: 4 },
            phases: { FT: { epochs: 0.5 } },
          });
          const started = await cli([
            'run',
            path,
            '--out',
            join(place, key),
            '--only',
            key === 'meta' ? 'MT/0' : 'FT',
          ]);
          expect(started.code).toBe(0);
          expect(started.stderr.split(`${line}, of start.${key} ${place}`)).toHaveLength(2);
        }
      },
    );
  });

  test('a new head needs no head in the file; pre-training tensors are left out', async () => {
    const bare = [...model].filter(([name]) => !name.startsWith('head.'));
    const extras = [
      ['mask_token', vector(16)],
      ['decoder_pred.weight', vector(3)],
      ['head.mlp.0.weight', vector(3)],
    ] as const;
    const path = torch('mae.pth', dictionary({ model: new Map([...bare, ...extras]) }));
    const kept = await run(recipe('kept', { start: { model: path } }), 'kept');
    expect(kept).toMatchObject({ code: 2, stdout: '' });
    expect(kept.stderr).toContain('classes none, but the recipe');
    const start = { model: path, head: 'new' };
    const { code, stderr } = await run(recipe('new', { start, model: { pool: 'mean' } }), 'new');
    expect(code).toBe(0);
    expect(stderr).toContain(
      '3 tensors ignored, because the model does not use them: mask_token, decoder_pred.weight',
    );
    expect(stderr).toContain('new head: ignored norm.bias, norm.weight');
    const { tensors } = readSafetensors(
      join(folder, 'new/FT/checkpoints', String(manifest('new').step), 'model.safetensors'),
    );
    const norms = [...tensors.keys()].filter((name) => /^stages\.\d+\.(fc_)?norm\.weight$/.test(name));
    expect(norms.map((name) => name.replace(/^stages\.\d+\./, ''))).toEqual(['fc_norm.weight']);
  });

  test('averaged weights are recorded; a checkpoint of ours with averages gives either', async () => {
    const both = torch('start.pth', dictionary({ model, model_ema: scaled(model, 0.5) }));
    const phases = { FT: { ema: 0.5 } };
    const first = await run(recipe('ema', { start: { model: both }, phases }), 'ema');
    expect(first.stderr).toContain(
      'averaged weights (ema), from model_ema; not used: model (start.weights: raw',
    );
    expect(recorded('ema').start.weights).toBe('ema');
    const checkpoint = join(folder, 'ema/FT');
    const averaged = await evaluate(checkpoint);
    expect(averaged.stderr).toContain(
      'averaged weights (ema), from model.safetensors; not used: optimizer.safetensors',
    );
    const raw = await evaluate(checkpoint, '--weights', 'raw');
    expect(JSON.parse(raw.stdout).loss).not.toBe(JSON.parse(averaged.stdout).loss);
    expect((await run(recipe('raw', { start: { model: both, weights: 'raw' } }), 'raw')).code).toBe(0);
    expect(recorded('raw').start.weights).toBe('raw');
  });

  test('non-finite weights are refused before training', async () => {
    const path = torch('diverged.pth', {
      ordered: new Map([...model, ['norm.bias', vector(16, Number.NaN)]]),
    });
    const { code, stderr } = await run(recipe('diverged', { start: { model: path } }), 'diverged');
    expect(code).toBe(1);
    expect(stderr).toContain('the tensor norm.bias is not finite');
  });
});
