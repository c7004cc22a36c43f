type Work = () => void;

const waiting = new Set<Work>();
let asked = false;

/**
 * Runs drawing tasks one per frame: drawing several charts at once would drop frames.
 * @returns a function that cancels the task
 */
export function inOwnFrame(work: Work): () => void {
  waiting.add(work);
  if (!asked) requestAnimationFrame(next);
  asked = true;
  return () => void waiting.delete(work);
}

function next(): void {
  const [work] = waiting;
  if (work !== undefined) {
    waiting.delete(work);
    work();
  }
  asked = waiting.size > 0;
  if (asked) requestAnimationFrame(next);
}
