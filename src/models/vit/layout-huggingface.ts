import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { joinRows, type LazyTensor, splitRows } from '../../weights/lazy-tensor.js';

/**
 * Names in a vision transformer's blocks: Hugging Face's (transformers, models/vit and models/deit) and this program's. The
 * first is that of versions before 5, and of files of any version; the second is that of version 5's modules.
 */
const BLOCK_NAMES = [
  ['layernorm_before', 'layernorm_before', 'norm1'],
  ['attention.attention.query', 'attention.q_proj', 'attn.q'],
  ['attention.attention.key', 'attention.k_proj', 'attn.k'],
  ['attention.attention.value', 'attention.v_proj', 'attn.v'],
  ['attention.output.dense', 'attention.o_proj', 'attn.proj'],
  ['layernorm_after', 'layernorm_after', 'norm2'],
  ['intermediate.dense', 'mlp.fc1', 'mlp.fc1'],
  ['output.dense', 'mlp.fc2', 'mlp.fc2'],
] as const;

const EMBEDDING_NAMES = [
  ['embeddings.cls_token', 'cls_token'],
  ['embeddings.distillation_token', 'dist_token'],
  ['embeddings.position_embeddings', 'pos_embed'],
  ['embeddings.patch_embeddings.projection.weight', 'patch_embed.proj.weight'],
  ['embeddings.patch_embeddings.projection.bias', 'patch_embed.proj.bias'],
  ['layernorm.weight', 'norm.weight'],
  ['layernorm.bias', 'norm.bias'],
] as const;

/** The classifier's name depends on the model class. */
const HEADS: Readonly<Record<string, string>> = {
  classifier: 'head',
  cls_classifier: 'head',
  distillation_classifier: 'head_dist',
};

const BASE = /^(?:vit|deit)\./;
const BLOCK = /^(?:encoder\.layer|layers)\.(\d+)\.(.+)\.(weight|bias)$/;
const HEAD = /^(\w+)\.(weight|bias)$/;
/** Pooler of `ViTModel`, which a classifier does not use. */
const POOLER = /^pooler\./;

const blockToOurs = new Map<string, string>(
  BLOCK_NAMES.flatMap(([before5, since5, ours]) => [
    [before5, ours],
    [since5, ours],
  ]),
);
const blockToTheirs = new Map<string, string>(BLOCK_NAMES.map(([before5, , ours]) => [ours, before5]));
const embeddingToOurs = new Map<string, string>(EMBEDDING_NAMES);
const embeddingToTheirs = new Map<string, string>(EMBEDDING_NAMES.map(([theirs, ours]) => [ours, theirs]));

/** Whether these names belong to a Hugging Face model with patch embeddings. */
export function isHuggingFace(names: Iterable<string>): boolean {
  for (const name of names) {
    if (name.replace(BASE, '').startsWith('embeddings.patch_embeddings.')) return true;
  }
  return false;
}

/**
 * Renames the tensors of a Hugging Face ViT or DeiT; `attn.q`, `attn.k` and `attn.v` are not joined yet.
 * Throws `InputError` for a tensor that does not belong to such a model.
 */
export function fromHuggingFace<T>(state: ReadonlyMap<string, T>, path: string): Map<string, T> {
  const renamed = new Map<string, T>();
  for (const [name, tensor] of state) {
    const local = name.replace(BASE, '');
    if (POOLER.test(local)) continue;
    const ours = nameFrom(local);
    if (ours === undefined || renamed.has(ours)) {
      throw new InputError(`${path}: the tensor ${name} does not belong to a Hugging Face ViT or DeiT`, {
        hint: 'Other architectures, and ViTs with additions, are not supported.',
      });
    }
    renamed.set(ours, tensor);
  }
  return renamed;
}

/**
 * Renames an undivided model's tensors to the names that every version of transformers loads; queries, keys and values are
 * views of the joined ones. Throws `InputError` for a tensor without a counterpart.
 */
export function toHuggingFace(model: ReadonlyMap<string, TensorData>): Map<string, TensorData> {
  const base = model.has('dist_token') ? 'deit.' : 'vit.';
  const classifier = model.has('head_dist.weight') ? 'cls_classifier' : 'classifier';
  const renamed = new Map<string, TensorData>();
  for (const [name, tensor] of model) {
    const [, index, layer, kind] = /^blocks\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
    if (layer === 'attn.qkv') {
      for (const [part, third] of Object.entries(splitQkv(tensor))) {
        renamed.set(`${base}encoder.layer.${index}.${blockToTheirs.get(`attn.${part}`)}.${kind}`, third);
      }
      continue;
    }
    const inBlock = layer === undefined ? undefined : blockToTheirs.get(layer);
    const outside = embeddingToTheirs.get(name);
    if (inBlock !== undefined) renamed.set(`${base}encoder.layer.${index}.${inBlock}.${kind}`, tensor);
    else if (outside !== undefined) renamed.set(base + outside, tensor);
    else if (/^head\./.test(name)) renamed.set(name.replace('head', classifier), tensor);
    else if (/^head_dist\./.test(name))
      renamed.set(name.replace('head_dist', 'distillation_classifier'), tensor);
    else throw new InputError(`the tensor ${name} does not belong to a Hugging Face ViT`);
  }
  return renamed;
}

function nameFrom(local: string): string | undefined {
  const [, index, layer, kind] = BLOCK.exec(local) ?? [];
  if (index !== undefined) {
    const ours = blockToOurs.get(layer);
    return ours && `blocks.${index}.${ours}.${kind}`;
  }
  const [, head, part] = HEAD.exec(local) ?? [];
  if (head !== undefined && Object.hasOwn(HEADS, head)) return `${HEADS[head]}.${part}`;
  return embeddingToOurs.get(local);
}

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
