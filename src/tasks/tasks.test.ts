import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { DATA_FORMATS } from '../data/formats/formats.js';
import {
  DEFAULT_TASK,
  hasSection,
  TASKS_WITH_SECTION,
  taskKind,
  taskNamed,
  taskOfFormat,
  taskOfModel,
  taskSections,
} from './tasks.js';

test.each(TASKS_WITH_SECTION)('%s: its name, its section and its decoder belong together', (name) => {
  const kind = taskKind(name);
  expect(kind.name).toBe(name);
  expect(kind.section).toBe(taskSections[name].unwrap());
  expect(kind.section?.parse({})).toBeDefined();
  if (kind.decoder) expect(taskOfModel({ decoder: { kind: kind.decoder.kind } })).toBe(name);
  if (kind.annotations) expect(taskOfFormat(kind.annotations.format)).toBe(kind);
  expect(kind.metrics(3).all).toContain(kind.metrics(3).primary);
});

test('the default task has no section, and is that of models without a decoder', () => {
  expect(taskKind()).toBe(taskKind(DEFAULT_TASK));
  expect(taskKind().name).toBe(DEFAULT_TASK);
  expect(taskKind().section).toBeUndefined();
  expect(hasSection(DEFAULT_TASK)).toBe(false);
  for (const model of [undefined, {}, { classes: 3 }]) expect(taskOfModel(model)).toBe(DEFAULT_TASK);
});

test('a decoder that does not name its kind is UperNet, as in earlier versions', () => {
  expect(taskOfModel({ decoder: {} })).toBe('segmentation');
});

test('an unknown task is an error that names its origin and the known tasks', () => {
  expect(() => taskNamed('counting', 'a.json')).toThrow(InputError);
  expect(() => taskNamed('counting', 'a.json')).toThrow('a.json: task counting is unknown');
  expect(taskNamed('detection', 'a.json')).toBe('detection');
  expect(() => taskKind('counting' as never)).toThrow(InputError);
});

test('formats with one class for each image belong to no task', () => {
  const own = DATA_FORMATS.filter((format) => taskOfFormat(format) !== undefined);
  expect(own).toEqual(['ade20k', 'coco']);
});
