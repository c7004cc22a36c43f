/** Runs in a separate process, so that the peak memory is that of reading only. Prints seconds and bytes. */
import { readModelFile } from '../../src/models/model-file/model-file.js';

const start = performance.now();
const { stages } = await readModelFile(process.argv[2]);
const seconds = (performance.now() - start) / 1000;
const buffers = new Set(stages.flatMap((stage) => [...stage.values()].map(({ data }) => data.buffer)));
const bytes = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
// Linux reports KiB.
const peak = process.resourceUsage().maxRSS * 1024;
process.stdout.write(JSON.stringify({ seconds, bytes, peak }));
