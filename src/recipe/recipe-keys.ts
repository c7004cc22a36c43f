import { z } from 'zod';

/** Names that other programs use for a setting. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  learning_rate: 'training.optimizer.lr',
  base_lr: 'training.optimizer.lr',
  optim: 'training.optimizer',
  opt: 'training.optimizer.name',
  scheduler: 'training.schedule',
  lr_scheduler: 'training.schedule',
  sched: 'training.schedule.kind',
  warmup_epochs: 'training.schedule.warmup',
  num_epochs: 'training.epochs',
  bs: 'training.batch_size',
  accum_iter: 'training.accumulate',
  grad_accum: 'training.accumulate',
  smoothing: 'training.label_smoothing',
  num_classes: 'model.classes',
  nb_classes: 'model.classes',
  img_size: 'model.image_size',
  input_size: 'model.image_size',
  embed_dim: 'model.width',
  num_heads: 'model.heads',
  num_layers: 'model.depth',
  num_workers: 'run.workers',
  gpus: 'run.ranks',
  num_gpus: 'run.ranks',
  root: 'data.path',
  dir: 'data.path',
  dataset: 'data',
  crop_pct: 'data.eval_crop',
  val_split: 'data.eval_split',
  pretrained: 'start.model',
};

/**
 * The hint for an unknown key in a recipe.
 * @param path of the section that contains the key
 * @param input the whole recipe, as written
 */
export function unknownKeyHint(
  schema: z.ZodType,
  path: readonly PropertyKey[],
  key: string,
  input?: unknown,
): string | undefined {
  const known = keysAt(schema, path, input);
  const where = path.length === 0 ? 'a recipe' : path.join('.');
  const keys = known.length === 0 ? undefined : `the keys of ${where} are ${known.join(', ')}`;
  const meant = meantKey(schema, path.map(String), key, known);
  // The key exists, but only for another kind of model.
  const isSame = meant === [...path.map(String), key].join('.');
  const question = meant === undefined || isSame ? undefined : `did you mean \`${meant}\`?`;
  const parts = [question, keys].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(' ');
}

function meantKey(
  schema: z.ZodType,
  path: readonly string[],
  key: string,
  known: readonly string[],
): string | undefined {
  const at = (name: string) => [...path, name].join('.');
  const spelt = closest(key, known);
  if (spelt !== undefined) return at(spelt);
  const all = pathsOf(schema);
  const plain = key.toLowerCase().replaceAll('-', '_');
  const named = OTHER_NAMES[plain]?.split('.') ?? [plain];
  const found = all.filter((each) => endsWith(each.split('.'), named));
  // Prefer a key in the section itself, then, in a phase, the phase's version of a key of `training`.
  const own = inSection(found, path.join('.'));
  if (own !== undefined) return own;
  const rest = named[0] === 'training' ? named.slice(1) : named;
  const ofPhase = path[0] === 'phases' ? all.filter((each) => endsWith(each.split('.'), rest)) : [];
  const near = inSection(ofPhase, path.slice(0, 2).join('.')) ?? inSection(found, 'training') ?? found[0];
  if (near !== undefined) return near;
  const leaves = [...new Set(all.map((each) => each.split('.').at(-1) as string))];
  const misspelt = closest(plain, leaves);
  const candidates = all.filter((each) => each.split('.').at(-1) === misspelt);
  return inSection(candidates, path.join('.')) ?? inSection(candidates, 'training') ?? candidates[0];
}

function inSection(paths: readonly string[], section: string): string | undefined {
  return paths.find((each) => section !== '' && each.startsWith(`${section}.`));
}

function endsWith(path: readonly string[], end: readonly string[]): boolean {
  return end.every((key, i) => path[path.length - end.length + i] === key);
}

/** The name with the most similar spelling, if any is close enough. */
function closest(name: string, names: readonly string[]): string | undefined {
  const most = name.length < 4 ? 1 : Math.min(2, Math.floor(name.length / 3));
  const distances = names.map((each) => [each, distance(name.toLowerCase(), each.toLowerCase())] as const);
  const near = distances.filter(([, value]) => value <= most).sort(([, a], [, b]) => a - b);
  return near[0]?.[0];
}

/** Edit distance: the number of insertions, deletions, replacements and swaps of adjacent characters. 3 means too many. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      rows[i][j] = Math.min(
        rows[i - 1][j] + 1,
        rows[i][j - 1] + 1,
        rows[i - 1][j - 1] + same,
        swapped ? rows[i - 2][j - 2] + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return rows[a.length][b.length];
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

/**
 * The keys that a value of a schema may have at a path, for messages.
 * @param input the whole value. If a constant key, such as a family, selects between variants, only its own variant counts
 */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[], input?: unknown): string[] {
  const all = jsonSchema(schema);
  let value = input;
  let there: readonly Schema[] = [all];
  for (const key of path) {
    there = there.flatMap((each) => choices(each, value)).flatMap(under(key));
    value = Object(value)[key];
  }
  const found = there.flatMap((each) => choices(each, value));
  return [...new Set(found.flatMap(({ properties = {} }) => Object.keys(properties)))];
}

/** Every key path that a value of a schema may have, sections before their contents. Keys of records are left out. */
function pathsOf(schema: z.ZodType): string[] {
  const below = (each: Schema, path: string): string[] =>
    choices(each).flatMap(({ properties = {} }) =>
      Object.entries(properties).flatMap(([key, inner]) => {
        const own = path === '' ? key : `${path}.${key}`;
        return [own, ...below(inner, own)];
      }),
    );
  return [...new Set(below(jsonSchema(schema), ''))];
}

/**
 * Every path at which a value of a schema may be something other than a section. This includes sections that may also be
 * a single value, such as null.
 * @param any placeholder for the keys of records
 */
export function leafKeys(schema: z.ZodType, any: string): string[] {
  const below = (each: Schema, path: string): string[] =>
    ends(each).flatMap(({ properties, additionalProperties: others }) => {
      if (properties === undefined && typeof others !== 'object') return [path];
      const inner = [
        ...Object.entries(properties ?? {}),
        ...(typeof others === 'object' ? [[any, others] as const] : []),
      ];
      return inner.flatMap(([key, value]) => below(value, path === '' ? key : `${path}.${key}`));
    });
  return [...new Set(below(jsonSchema(schema), ''))];
}

/** All alternatives of a schema, with nested alternatives flattened. */
function ends(schema: Schema): readonly Schema[] {
  const parts = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return parts.length === 0 ? [schema] : parts.flatMap(ends);
}

function jsonSchema(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'input', reused: 'inline', unrepresentable: 'any' }) as Schema;
}

function choices(schema: Schema, value?: unknown): readonly Schema[] {
  const parts = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  const meant = parts.filter((part) => value === undefined || agrees(part, value));
  return [schema, ...(meant.length === 0 ? parts : meant).flatMap((part) => choices(part, value))];
}

/** Whether a value matches the constant keys of an object's schema. */
function agrees({ properties = {}, required = [] }: Schema, value: unknown): boolean {
  return Object.entries(properties).every(([key, { const: constant }]) => {
    if (constant === undefined) return true;
    const given = Object(value)[key];
    return given === constant || (given === undefined && !required.includes(key));
  });
}

function under(key: PropertyKey): (schema: Schema) => readonly Schema[] {
  return ({ properties = {}, additionalProperties: others, items }) => {
    const found = properties[String(key)] ?? (typeof others === 'object' ? others : items);
    return found === undefined ? [] : [found];
  };
}
