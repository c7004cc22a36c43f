/** A word for a shell's line, and for #SBATCH lines: in quotes where it needs them. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A command of this program as a user types it: in a clone as where the package is installed. */
export function ownCommand(...words: readonly string[]): string {
  return ['npx deep-incubation', ...words.map(quoted)].join(' ');
}
