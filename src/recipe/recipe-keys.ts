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
