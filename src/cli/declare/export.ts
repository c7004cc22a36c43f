import type { Command } from '@commander-js/extra-typings';
import { CHECKPOINT, CLASSES, collect, examples, SET, weightsOption } from '../commands/common-options.js';

export function addExport(program: Command): void {
  program
    .command('export')
    .summary('export a checkpoint as an ONNX model')
    .description(
      'Writes a model as ONNX (operator set 17, float32), which onnxruntime runs in Python, C++, JavaScript and the ' +
        'browser: pixels [batch, channels, size, size] to logits [batch, classes], any batch size. Its metadata says ' +
        'how to preprocess an image. Accepts the same checkpoints as `eval`. Weights above 1.5 GB are written to OUT.data.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write, such as vit.onnx')
    .option(
      '--with-normalisation',
      'include the normalisation: the input is pixels from 0 to 1 (default: normalised pixels)',
    )
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--external-data', 'always write the weights to OUT.data')
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', `${SET}; keys under model, data.mean, data.std, data.eval_crop`, collect)
    .option('--force', 'overwrite existing files')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation export runs/demo/FT vit.onnx --with-normalisation', 'input: pixels from 0 to 1'],
        ['deep-incubation export vit_base.pth vit.onnx --classes names.txt', 'with class names'],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('../commands/export.js')).exportModel(checkpoint, out, options),
    );
}
