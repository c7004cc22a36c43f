#!/usr/bin/env node
/**
 * Writes the SHA-256 of each wheel that the set-up and `npm run gpu:pack` may download into scripts/lib/wheel-pins.json.
 * Run it after a change of FETCHED_VERSION or of the GPU kit's TARGET. pip names the hashes of its index and needs
 * version 23.3 or newer; older ones download every wheel. Pins of wheels that this index lacks are kept while their
 * version stays the same, so run it once for each index: that of CUDA builds, and that of CPU builds.
 *
 *   npm run pin-wheels                             with pip's own settings
 *   PIP_INDEX_URL=... npm run pin-wheels           with another index
 */
import { main } from './lib/failure.mjs';
import { pinWheels } from './lib/pin-wheels.mjs';

await main(async () => {
  for (const line of await pinWheels({ env: process.env })) process.stdout.write(`${line}\n`);
  return 0;
});
