import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { CLASSIFIER_KEYS } from '../training/task-kind.js';
import { compile } from './compile.js';
import { checkedRecipe } from './recipe.js';
import { firstUsed } from './recipe-task.js';

const base = {
  name: 'pixels',
  task: 'segmentation',
  model: { image_size: 32, patch_size: 8, width: 16, depth: 4, heads: 2, classes: 3 },
  incubation: 'none',
  data: { format: 'ade20k', path: 'images' },
  phases: { E2E: { epochs: 1 } },
};

test('task: segmentation adds its sections; a classifier has none of them', () => {
  expect(checkedRecipe(base, 'r.yaml')).toMatchObject({
    model: { decoder: { kind: 'upernet' } },
    segmentation: { scale: [2048, 512] },
  });
  const { task, ...rest } = base;
  const classifier = checkedRecipe({ ...rest, data: { format: 'folder', path: 'images' } }, 'r.yaml');
  expect(classifier.segmentation).toBeUndefined();
  expect(Object(classifier.model).decoder).toBeUndefined();
  expect(task).toBe('segmentation');
});

test.each(['Segmentation', 'segmentatoin', 5, null, {}])(
  'task: %j is unknown, whatever sections there are',
  (task) => {
    const recipe = { ...base, task, segmentation: {}, model: { ...base.model, decoder: {} } };
    expect(() => checkedRecipe(recipe, 'r.yaml')).toThrow(/^r.yaml: task: Invalid option/);
  },
);

test.each([{}, { task: 'detection' }, { task: undefined }])(
  'an unknown kind of decoder is named as such: %j',
  (task) => {
    const recipe = { ...base, ...task, model: { ...base.model, decoder: { kind: 'fpn' } } };
    expect(() => checkedRecipe(recipe, 'r.yaml')).toThrow(
      "r.yaml: model.decoder.kind: Invalid discriminator value. Expected 'upernet' | 'mask-rcnn'",
    );
  },
);

const training = (settings: object) => ({ training: settings });
const local = (settings: object) => ({ phases: { E2E: { epochs: 1, local: { modules: 2, ...settings } } } });

test.each([
  [{ model: { family: 'resnet', preset: 'resnet-20' } }, 'no decoder for task: segmentation'],
  [{ task: 'classification', segmentation: {} }, 'segmentation is only for task: segmentation'],
  [{ data: { format: 'folder', path: 'images' } }, 'data.format folder'],
  [{ data: { ...base.data, sampling: 'balanced' } }, 'data.sampling: balanced'],
  [{ data: { ...base.data, exif: 'apply' } }, 'data.exif: apply'],
  [{ data: { ...base.data, bad_images: 'replace' } }, 'data.bad_images: replace'],
  [training({ loss: 'bce' }), 'loss bce'],
  [training({ label_smoothing: 0.1 }), 'label_smoothing 0.1'],
  [training({ class_weights: 'balanced' }), 'class_weights'],
  [{ phases: { E2E: { epochs: 1, batch_size: 1 } } }, 'batch_size 1 is too small'],
  [
    { segmentation: { evaluation: { mode: 'slide', stride: 33 } } },
    'stride 33 is larger than the window of 32',
  ],
  [local({ method: 'dgl' }), 'E2E: local'],
  [local({ method: 'infopro', reconstruction: [1, 0], prediction: [0, 1] }), 'E2E: local'],
])('%j is refused with a hint', (changes, message) => {
  const refused = () => checkedRecipe({ ...base, ...changes }, 'r.yaml');
  expect(refused).toThrow(InputError);
  expect(refused).toThrow(
    expect.objectContaining({ message: expect.stringContaining(message), hint: expect.any(String) }),
  );
});

type Changes = Partial<Record<'data' | 'training' | 'phases', object>>;

test.each<[Changes, string | undefined]>([
  [{}, undefined],
  [{ data: { augment: { mixup: 0.8 } } }, 'data.augment.mixup and cutmix'],
  [{ data: { augment: { cutmix: 1 } } }, 'data.augment.mixup and cutmix'],
  [training({ loss: 'bce' }), 'loss bce'],
  [training({ label_smoothing: 0.1 }), 'label_smoothing 0.1'],
  [training({ class_weights: [1, 2, 3] }), 'class_weights'],
  [training({ distill: { teacher: 'x.pth' } }), 'distill'],
  [training({ curriculum: [{ size: 16 }] }), 'curriculum'],
  [local({ method: 'dgl' }), 'local'],
])('%j uses a key that only classification supports: %s', (changes, key) => {
  const recipe = {
    ...base,
    ...changes,
    task: 'classification',
    data: { format: 'folder', path: 'images', ...changes.data },
    training: { label_smoothing: 0, ...changes.training },
  };
  const [phase] = compile(checkedRecipe(recipe, 'r.yaml'));
  expect(firstUsed(CLASSIFIER_KEYS, phase)?.[0]).toBe(key);
});

const objects = {
  ...base,
  task: 'detection',
  model: { ...base.model, width: 32 },
  data: { format: 'coco', path: 'images' },
};

test('task: detection adds its sections; the kind of a decoder implies the task', () => {
  const expected = { task: 'detection', model: { class_token: false, decoder: { kind: 'mask-rcnn' } } };
  expect(checkedRecipe(objects, 'r.yaml')).toMatchObject({ ...expected, detection: { scale: [1333, 800] } });
  const { task: _, ...unnamed } = { ...objects, model: { ...objects.model, decoder: { kind: 'mask-rcnn' } } };
  expect(checkedRecipe(unnamed, 'r.yaml')).toMatchObject(expected);
});

test.each([
  [{ model: { family: 'resnet', preset: 'resnet-20' } }, 'no decoder for task: detection'],
  [{ segmentation: {} }, 'segmentation is only for task: segmentation'],
  [{ task: 'segmentation', detection: {} }, 'detection is only for task: detection'],
  [{ model: { ...base.model, decoder: { kind: 'upernet' } } }, 'model.decoder.kind upernet'],
  [{ data: { format: 'ade20k', path: 'images' } }, 'data.format ade20k'],
  [{ task: 'classification' }, 'data.format coco has a label for each object'],
  [{ data: { ...objects.data, sampling: 'balanced' } }, 'data.sampling: balanced'],
  [{ data: { ...objects.data, augment: { mixup: 0.8 } } }, 'data.augment'],
  [training({ loss: 'bce' }), 'loss bce'],
  [training({ class_weights: 'balanced' }), 'class_weights'],
  [local({ method: 'dgl' }), 'E2E: local'],
])('detection: %j is refused with a hint', (changes, message) => {
  const recipe = { ...objects, ...changes };
  const refused = () => checkedRecipe(recipe, 'r.yaml');
  expect(refused).toThrow(InputError);
  expect(refused).toThrow(
    expect.objectContaining({ message: expect.stringContaining(message), hint: expect.any(String) }),
  );
});
