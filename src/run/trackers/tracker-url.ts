/** What is wrong with the address of a tracker's server; undefined if it is valid. */
export function urlProblem(text: string): string | undefined {
  if (!URL.canParse(text) || !['http:', 'https:'].includes(new URL(text).protocol)) {
    return 'expected an address like http://localhost:5000';
  }
  const { username, password, search, hash } = new URL(text);
  if ([username, password, search, hash].every((part) => part === '')) return undefined;
  return 'addresses are stored with the run, so passwords and tokens belong into environment variables: see docs/trackers.md';
}
