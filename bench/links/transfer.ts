// One end of a transfer over TCP: `transfer.js receive PORT`, or `transfer.js send ADDRESS PORT BYTES`, which prints the seconds.
import { connect, createServer } from 'node:net';
import { Readable } from 'node:stream';

const [role, ...args] = process.argv.slice(2);
const CHUNK = Buffer.alloc(1 << 16);

function* chunks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= CHUNK.length)
    yield CHUNK.subarray(0, Math.min(left, CHUNK.length));
}

if (role === 'receive') {
  const server = createServer((socket) => {
    socket.resume().on('end', () => socket.end('all here'));
    server.close();
  }).listen(Number(args[0]), () => console.log('listening'));
} else {
  const [address, port, bytes] = args;
  const socket = connect(Number(port), address, () => {
    const started = performance.now();
    Readable.from(chunks(Number(bytes))).pipe(socket);
    // The receiver answers once it has everything.
    socket.once('data', () => console.log((performance.now() - started) / 1000));
  });
}
