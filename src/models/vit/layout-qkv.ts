import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { joinRows, type LazyTensor, splitRows } from '../../weights/lazy-tensor.js';

/** `blocks.0.attn.q.weight`, and the names in other programs: `attn.q_proj.weight`, `attn.query.weight`. */
const SPLIT = /^(.*\battn)\.(?:(q|k|v)(?:_proj)?|(query|key|value))\.(weight|bias)$/;

/** Order of the parts in the joined tensor. */
const PARTS = ['q', 'k', 'v'] as const;

/**
 * Joins separate query, key and value tensors as `attn.qkv`, in this order; joined ones are unchanged.
 * Throws `InputError` naming the attention layer in which one of them is missing.
 */
export function joinQkv(stage: ReadonlyMap<string, LazyTensor>, path: string): Map<string, LazyTensor> {
  const groups = new Map<string, Map<string, LazyTensor>>();
  const joined = new Map<string, LazyTensor | undefined>();
  for (const [name, tensor] of stage) {
    const [, attention, letter, word, kind] = SPLIT.exec(name) ?? [];
    if (attention === undefined) {
      joined.set(name, tensor);
      continue;
    }
    const whole = `${attention}.qkv.${kind}`;
    const group = groups.get(whole) ?? new Map<string, LazyTensor>();
    groups.set(whole, group.set(letter ?? word.charAt(0), tensor));
    // Reserves the position, to keep the order of the file.
    if (!stage.has(whole)) joined.set(whole, undefined);
  }
  for (const [whole, group] of groups) {
    const parts = PARTS.flatMap((part) => group.get(part) ?? []);
    if (parts.length < 3 || stage.has(whole)) {
      const has = [...group.keys(), ...(stage.has(whole) ? ['qkv'] : [])].join(' and ');
      throw new InputError(`${path}: for ${whole} it has ${has}; it needs q, k and v, or only qkv`);
    }
    joined.set(whole, joinRows(parts, `${path}: ${whole}`));
  }
  return new Map([...joined].flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : [])));
}

/** Splits a joined tensor [3 D, ...] into query, key and value: three views [D, ...] of its bytes. */
export function splitQkv(tensor: TensorData): Record<(typeof PARTS)[number], TensorData> {
  const [q, k, v] = splitRows(tensor, PARTS.length);
  return { q, k, v };
}
