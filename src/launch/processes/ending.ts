/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started; undefined if it was. */
  readonly notStarted?: string;
  /** Why this program killed it; undefined if it did not. */
  readonly killedFor?: string;
  /** The end of its stderr output. */
  readonly stderr: string;
  /** Out-of-memory kills in its control group or on the machine while it ran; undefined if the system does not report them. */
  readonly oomKills: number | undefined;
}

const MEANINGS: Partial<Record<NodeJS.Signals, string>> = {
  SIGSEGV: 'a crash in native code',
  SIGBUS: 'a crash in native code, or a truncated mapped file',
  SIGILL: 'an instruction that this processor does not support',
  SIGFPE: 'a division by zero in native code',
  SIGABRT: 'native code aborted',
};

/** Why a process ended before its work was done, worded to follow its name. */
export function causeOf(ending: Ending): string {
  const { code, signal, notStarted, killedFor } = ending;
  if (notStarted !== undefined) return `could not be started: ${notStarted}`;
  if (killedFor !== undefined) return `was killed: ${killedFor}`;
  const line = tellingLine(ending.stderr);
  const detail = line === undefined ? '' : `: ${line}`;
  if (signal === 'SIGKILL') return `died of SIGKILL, ${killer(ending)}`;
  if (signal !== null) {
    const meaning = MEANINGS[signal] ?? (ranOutOfHeap(ending) ? OUT_OF_HEAP : undefined);
    return `died of ${signal}${meaning === undefined ? '' : ` (${meaning})`}${detail}`;
  }
  if (code === 0) return `ended without a result${detail}`;
  return `ended with exit code ${code}${detail}`;
}

/** V8 has no separate signal for this: depending on the version, it dies of SIGABRT or SIGTRAP. */
const HEAP_LIMIT =
  /JavaScript (heap )?out of memory|Fatal process out of memory|Reached heap limit|ERR_WORKER_OUT_OF_MEMORY/;
const OUT_OF_HEAP = "out of memory for JavaScript: Node's heap limit";

/** Whether V8 ended a process because its heap was full. More memory in the machine does not help by itself. */
export function ranOutOfHeap({ code, signal, stderr }: Ending): boolean {
  return (signal !== null || code !== 0) && signal !== 'SIGKILL' && HEAP_LIMIT.test(stderr);
}

/** Whether a process was, or may have been, killed for lack of memory. */
export function lackedMemory({ signal, oomKills, stderr, killedFor }: Ending): boolean {
  if (signal === 'SIGKILL') return killedFor === undefined && oomKills !== 0;
  if (signal === 'SIGTRAP') return HEAP_LIMIT.test(stderr);
  return signal === 'SIGABRT' && /out of memory|bad_alloc/.test(stderr);
}

function killer({ oomKills }: Ending): string {
  if (oomKills === undefined) return 'possibly out of memory';
  return oomKills > 0
    ? 'out of memory: the kernel killed it'
    : 'sent by another process (the kernel was not out of memory)';
}

/** Lines of a stack trace, and lines around it. */
const NO_NEWS = /^(at |frame #|\d+: 0x|Exception raised from|Node\.js v|-+ .* -+$|[{}\]]|\^)/;
/** Best first: the reason that C++ gives, V8's heap limit, then lines that look like an error message. */
const NEWS = [/what\(\)/, HEAP_LIMIT, /\b\w*(error|exception)\b|^fatal|terminate called/i];

/** The most informative line of stderr. */
function tellingLine(stderr: string): string | undefined {
  const lines = stderr
    .split('\n')
    .map((line) => line.replace(/^# /, '').trim())
    .filter((line) => line !== '' && !NO_NEWS.test(line));
  const telling = NEWS.map((news) => lines.findLast((line) => news.test(line))).find(
    (line) => line !== undefined,
  );
  return (telling ?? lines.at(-1))?.slice(0, MAX_CHARACTERS);
}

const MAX_CHARACTERS = 300;
