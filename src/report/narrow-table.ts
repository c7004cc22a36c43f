/**
 * A table's lines, the first of which is its head, without as many of the dispensable columns, the first of them first, as it
 * takes to fit a terminal. Columns stand two characters apart.
 */
export function narrowed(
  lines: readonly (readonly string[])[],
  columns: number,
  dispensable: readonly string[],
): readonly (readonly string[])[] {
  const width = widthsOf(lines).reduce((sum, each) => sum + each + 2, -2);
  const [name, ...others] = dispensable;
  if (width <= columns || name === undefined) return lines;
  const at = lines[0].indexOf(name);
  const less = at < 0 ? lines : lines.map((cells) => cells.toSpliced(at, 1));
  return narrowed(less, columns, others);
}

/** Characters of the widest cell of each column. */
export function widthsOf(lines: readonly (readonly string[])[]): number[] {
  return lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
}
