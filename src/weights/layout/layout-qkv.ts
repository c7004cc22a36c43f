import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { joinRows, type LazyTensor, splitRows } from '../lazy-tensor.js';

/** `blocks.0.attn.q.weight`, and as several programs name it: `attn.q_proj.weight`, `attn.query.weight`. */
const SPLIT = /^(.*\battn)\.(?:(q|k|v)(?:_proj)?|(query|key|value))\.(weight|bias)$/;

/** The order of the thirds. */
const PARTS = ['q', 'k', 'v'] as const;

/**
 * Puts separate query, key and value tensors together as `attn.qkv`, in this order; joined ones stay.
 * Throws `InputError` naming the attention layer that lacks one of them.
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
    // Holds the place, so that the order of the file remains.
    if (!stage.has(whole)) joined.set(whole, undefined);
  }
  for (const [whole, group] of groups) {
    const parts = PARTS.flatMap((part) => group.get(part) ?? []);
    if (parts.length < 3 || stage.has(whole)) {
      const has = [...group.keys(), ...(stage.has(whole) ? ['qkv'] : [])].join(' and ');
      throw new InputError(`${path}: for ${whole} it has ${has}; q, k and v are needed, or qkv alone`);
    }
    joined.set(whole, joinRows(parts, `${path}: ${whole}`));
  }
  return new Map([...joined].flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : [])));
}

/** Query, key and value of a joined tensor [3 D, ...]: three views [D, ...] of its bytes. */
export function splitQkv(tensor: TensorData): Record<(typeof PARTS)[number], TensorData> {
  const [q, k, v] = splitRows(tensor, PARTS.length);
  return { q, k, v };
}
