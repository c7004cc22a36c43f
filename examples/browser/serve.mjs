#!/usr/bin/env node
/**
 * Serves the page with a model that `deep-incubation export` wrote.
 *
 *   npm run example:browser -- vit.onnx
 */
import { createReadStream, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';

const model = process.argv[2];
if (model === undefined || !existsSync(model)) {
  const problem = model === undefined ? 'no model given' : `${model} does not exist`;
  process.stderr.write(
    `error: ${problem}\n  hint: deep-incubation export runs/demo/FT vit.onnx, then npm run example:browser -- vit.onnx\n`,
  );
  process.exit(2);
}

const server = await createServer({
  configFile: false,
  root: fileURLToPath(new URL('.', import.meta.url)),
  logLevel: 'warn',
  server: { port: Number(process.env.PORT ?? 5173), fs: { allow: ['../..'] } },
  // The runtime finds its WebAssembly in its own folder.
  optimizeDeps: { exclude: ['onnxruntime-web'], include: ['onnx-proto'] },
  plugins: [{ name: 'model', configureServer: ({ middlewares }) => void middlewares.use(giveModel) }],
});
await server.listen();
process.stdout.write(`${server.resolvedUrls?.local[0]}\n`);

/** @type {import('vite').Connect.NextHandleFunction} */
function giveModel(request, response, next) {
  const [, beside] = /^\/model\.onnx(\.data)?$/.exec(request.url?.split('?')[0] ?? '') ?? [undefined, null];
  if (beside === null) return next();
  const path = `${model}${beside ?? ''}`;
  if (!existsSync(path)) return next();
  response.setHeader('Content-Type', 'application/octet-stream');
  createReadStream(path).pipe(response);
}
