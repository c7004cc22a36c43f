/**
 * Removes columns from a table until it fits the terminal width. `dispensable` lists the columns that may be removed, in this
 * order. The first line is the header; columns are separated by two characters.
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

/** Width of each column in characters. */
export function widthsOf(lines: readonly (readonly string[])[]): number[] {
  return lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
}
