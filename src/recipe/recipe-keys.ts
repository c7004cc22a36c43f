import { z } from 'zod';

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
 * @param input the whole value: of the kinds that it may be of by a constant key, such as a family, only its own counts
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

/** Every path of keys that a value of a schema may have, sections before what is in them; keys of records left out. */
export function pathsOf(schema: z.ZodType): string[] {
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
 * Every path at which a value of a schema may have what is no section: a key of a section that may also be a single value,
 * such as null, is one too.
 * @param any what stands for a key of a record
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

/** The alternatives of a schema that are none of several themselves. */
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

/** Whether the constant keys of an object's schema are those of the value. */
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
