import { InputError } from '../../base/errors.js';
import { endOf, type Stage } from '../../weights/layout/model-file-stages.js';
import { blockCount } from '../vit/weights-geometry.js';

const BLOCK = /^blocks\.(\d+)\.(.+)$/;

/**
 * Divides a model into stages of other depths, without changing its tensors: embeddings are in the first stage, norm and
 * heads in the last, and blocks are numbered from 0 in each. With one depth, the model is undivided.
 * Throws `InputError` naming `source` if the depths do not add up to the model's blocks, or a tensor belongs to no stage.
 *
 * @example
 * const { stages } = await readModelFile('model.safetensors');
 * const whole = divideStages(stages, [4]);
 * whole.length; // 1
 */
export function divideStages<T>(
  stages: readonly Stage<T>[],
  depths: readonly number[],
  source = 'the model',
): Stage<T>[] {
  const held = stages.map((stage, i) => blockCount(stage.keys(), `${source}: stages.${i}`));
  const total = sum(held);
  if (
    depths.length === 0 ||
    !depths.every((depth) => Number.isSafeInteger(depth) && depth > 0) ||
    sum(depths) !== total
  ) {
    throw new InputError(`${source}: has ${total} blocks; stages of ${depths.join(', ')} are not those`, {
      hint: `Give depths, each from 1 on, that together are ${total}.`,
    });
  }
  const places = depths.flatMap((depth, stage) => Array.from({ length: depth }, (_, at) => ({ stage, at })));
  const divided = depths.map(() => new Map<string, T>());
  const outside = { first: new Map<string, T>(), last: new Map<string, T>() };
  for (const [i, stage] of stages.entries()) {
    const before = sum(held.slice(0, i));
    for (const [name, tensor] of stage) {
      const [, block, rest] = BLOCK.exec(name) ?? [];
      if (block === undefined) {
        outside[endAt(name, i, stages.length, source)].set(name, tensor);
        continue;
      }
      const place = places[before + Number(block)];
      divided[place.stage].set(`blocks.${place.at}.${rest}`, tensor);
    }
  }
  return divided.map((stage, i) => {
    const isLast = i === depths.length - 1;
    return new Map([...(i === 0 ? outside.first : []), ...stage, ...(isLast ? outside.last : [])]);
  });
}

/** Joins the stages to an undivided model. */
export function joinStages<T>(stages: readonly Stage<T>[], source?: string): Stage<T> {
  const total = sum(stages.map((stage) => blockCount(stage.keys(), source ?? 'the model')));
  return divideStages(stages, [total], source)[0];
}

function endAt(name: string, stage: number, stages: number, source: string): 'first' | 'last' {
  const end = endOf(name);
  const place = end === 'first' ? 0 : end === 'last' ? stages - 1 : undefined;
  if (end !== undefined && place === stage) return end;
  throw new InputError(`${source}: the tensor ${name} of stage ${stage} belongs to no other stage`, {
    hint: 'Only vision transformers can be divided anew.',
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
