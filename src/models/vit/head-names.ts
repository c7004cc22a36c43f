/** Names of a linear classifier in programs that keep it separate from the backbone. */
const HEADS = [
  'classifier',
  'fc',
  'linear',
  'cls_head',
  'classification_head',
  'mlp_head',
  'head.fc',
  'heads.head',
];

/**
 * Renames the classifier of a model without `head.weight` to `head`, if exactly one linear layer has one of the usual
 * names.
 */
export function withHead<T extends { readonly shape: readonly number[] }>(
  state: ReadonlyMap<string, T>,
): ReadonlyMap<string, T> {
  if (state.has('head.weight')) return state;
  const found = HEADS.filter((name) => state.get(`${name}.weight`)?.shape.length === 2);
  if (found.length !== 1) return state;
  const [head] = found;
  return new Map(
    [...state].map(([name, tensor]) => {
      const part = name.startsWith(`${head}.`) ? name.slice(head.length + 1) : '';
      return [['weight', 'bias'].includes(part) ? `head.${part}` : name, tensor];
    }),
  );
}
