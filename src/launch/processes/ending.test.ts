import { expect, test } from 'vitest';
import { causeOf, type Ending, lackedMemory } from './ending.js';

const ENDING: Ending = { code: null, signal: null, stderr: '', oomKills: 0 };

const UNCAUGHT = `file:///x/main.js:3
    throw new Error('no such tensor')
    ^

Error: no such tensor
    at work (file:///x/main.js:3:9)
    at file:///x/main.js:6:1 {
  code: 'X'
}

Node.js v20.20.2
`;
const HEAP = `<--- Last few GCs --->
[1:0x5] 30 ms: Mark-Compact 20.1 (22.4) -> 20.0 (22.9) MB

FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
----- Native stack trace -----

 1: 0xb76dc5 node::OOMErrorHandler(char const*, v8::OOMDetails const&) [node]
 2: 0x7f3a1c0 __libc_start_main [/lib/libc.so.6]
`;
/** Of Node 22 and later. */
const TRAP = `[1:0x5] 30 ms: Mark-Compact 20.1 (22.4) -> 20.0 (22.9) MB

#
# Fatal JavaScript out of memory: Reached heap limit
#
#
#
#FailureMessage Object: 0x7ffd3f0
`;
const TERMINATE = `terminate called after throwing an instance of 'c10::Error'
  what():  CUDA error: an illegal memory access was encountered
Exception raised from c10_cuda_check (most recent call first):
frame #0: c10::Error::Error(...) + 0x57 (0x7f in libc10.so)
`;

test.each<[Partial<Ending>, string]>([
  [{ signal: 'SIGKILL', oomKills: 1 }, 'died of SIGKILL, out of memory: the kernel killed it'],
  [
    { signal: 'SIGKILL', oomKills: 0 },
    'died of SIGKILL, sent by another process (the kernel was not out of memory)',
  ],
  [{ signal: 'SIGKILL', oomKills: undefined }, 'died of SIGKILL, possibly out of memory'],
  [{ signal: 'SIGKILL', killedFor: 'it was idle for 5 min' }, 'was killed: it was idle for 5 min'],
  [{ signal: 'SIGSEGV' }, 'died of SIGSEGV (a crash in native code)'],
  [{ signal: 'SIGTERM' }, 'died of SIGTERM'],
  [
    { signal: 'SIGABRT', stderr: HEAP },
    'died of SIGABRT (native code aborted): FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
  ],
  [
    { signal: 'SIGABRT', stderr: TERMINATE },
    'died of SIGABRT (native code aborted): what():  CUDA error: an illegal memory access was encountered',
  ],
  [
    { signal: 'SIGTRAP', stderr: TRAP },
    "died of SIGTRAP (out of memory for JavaScript: Node's heap limit): Fatal JavaScript out of memory: Reached heap limit",
  ],
  [
    { signal: 'SIGTRAP', stderr: HEAP },
    "died of SIGTRAP (out of memory for JavaScript: Node's heap limit): FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
  ],
  [{ signal: 'SIGTRAP' }, 'died of SIGTRAP'],
  [{ code: 1, stderr: UNCAUGHT }, 'ended with exit code 1: Error: no such tensor'],
  [{ code: 3, stderr: 'first\nlast words\n\n' }, 'ended with exit code 3: last words'],
  [{ code: 3 }, 'ended with exit code 3'],
  [{ code: 0 }, 'ended without a result'],
  [{ notStarted: 'spawn /no/node ENOENT' }, 'could not be started: spawn /no/node ENOENT'],
])('%j', (ending, cause) => {
  expect(causeOf({ ...ENDING, ...ending })).toBe(cause);
});

test.each<[Partial<Ending>, boolean]>([
  [{ signal: 'SIGKILL', oomKills: 1 }, true],
  [{ signal: 'SIGKILL', oomKills: undefined }, true],
  [{ signal: 'SIGKILL', oomKills: 0 }, false],
  [{ signal: 'SIGKILL', oomKills: 1, killedFor: 'it hung' }, false],
  [{ signal: 'SIGABRT', stderr: HEAP }, true],
  [{ signal: 'SIGTRAP', stderr: TRAP }, true],
  [{ signal: 'SIGTRAP' }, false],
  [{ signal: 'SIGABRT', stderr: TERMINATE }, false],
  [{ code: 1 }, false],
])('%j lacked memory: %s', (ending, lacked) => {
  expect(lackedMemory({ ...ENDING, ...ending })).toBe(lacked);
});
