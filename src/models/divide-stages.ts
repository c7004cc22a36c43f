import { InputError } from '../base/errors.js';
import { blockCount, type EndOf, type StageTensors } from '../weights/layout/model-file-stages.js';

const BLOCK = /^blocks\.(\d+)\.(.+)$/;

/**
 * Divides a model into stages of other depths; see `divideStages`.
 * @param endOf the stage of a tensor outside the blocks
 */
export function divideBy<T>(
  endOf: EndOf,
  stages: readonly StageTensors<T>[],
  depths: readonly number[],
  source: string,
): StageTensors<T>[] {
  const held = stages.map((stage, i) => blockCount(stage.keys(), `${source}: stages.${i}`));
  const total = sum(held);
  if (
    depths.length === 0 ||
    !depths.every((depth) => Number.isSafeInteger(depth) && depth > 0) ||
    sum(depths) !== total
  ) {
    throw new InputError(
      `${source}: has ${total} blocks, which cannot be divided into stages of ${depths.join(', ')}`,
      {
        hint: `The depths must be at least 1 and add up to ${total}.`,
      },
    );
  }
  const places = depths.flatMap((depth, stage) => Array.from({ length: depth }, (_, at) => ({ stage, at })));
  const divided = depths.map(() => new Map<string, T>());
  const outside = { first: new Map<string, T>(), last: new Map<string, T>() };
  for (const [i, stage] of stages.entries()) {
    const before = sum(held.slice(0, i));
    for (const [name, tensor] of stage) {
      const [, block, rest] = BLOCK.exec(name) ?? [];
      if (block === undefined) {
        outside[endAt(endOf(name), { name, stage: i, stages: stages.length, source })].set(name, tensor);
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
export function joinBy<T>(endOf: EndOf, stages: readonly StageTensors<T>[], source: string): StageTensors<T> {
  const total = sum(stages.map((stage) => blockCount(stage.keys(), source)));
  return divideBy(endOf, stages, [total], source)[0];
}

interface Where {
  readonly name: string;
  readonly stage: number;
  readonly stages: number;
  readonly source: string;
}

function endAt(end: ReturnType<EndOf>, { name, stage, stages, source }: Where): 'first' | 'last' {
  const place = end === 'first' ? 0 : end === 'last' ? stages - 1 : undefined;
  if (end !== undefined && place === stage) return end;
  throw new InputError(`${source}: the tensor ${name} of stage ${stage} belongs to no other stage`, {
    hint: 'Only models of a known family can be divided again.',
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
