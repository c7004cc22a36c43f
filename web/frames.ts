type Work = () => void;

const waiting = new Set<Work>();
let asked = false;

/** Does a piece of drawing, one a frame: several charts at once would drop frames. @returns what calls it off */
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
