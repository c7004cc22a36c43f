import type { Command } from '@commander-js/extra-typings';
import { CHECKPOINT, CLASSES, collect, examples, SET, weightsOption } from '../commands/common-options.js';

export function addExport(program: Command): void {
  program
    .command('export')
    .summary('write a checkpoint as an ONNX model')
    .description(
      'Writes a model as ONNX (operator set 17, float32), which onnxruntime runs in Python, C++, JavaScript and the ' +
        'browser: pixels [batch, channels, size, size] to logits [batch, classes], any batch. Its metadata tells ' +
        'how pixels are made of an image. Takes what `eval` takes. Weights above 1.5 GB lie in OUT.data beside it.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write, such as vit.onnx')
    .option('--with-normalisation', 'take pixels from 0 to 1; otherwise normalised by mean and deviation')
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--external-data', 'weights in OUT.data beside it, however few')
    .option('--recipe <file>', 'recipe the model belongs to')
    .option('--set <key=value>', `${SET}; keys under model, data.mean, data.std, data.eval_crop`, collect)
    .option('--force', 'overwrite what is there')
    .addOption(weightsOption())
    .option('--json', 'print what was written as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation export runs/demo/FT vit.onnx --with-normalisation', 'of raw pixels'],
        ['deep-incubation export vit_base.pth vit.onnx --classes names.txt', 'with names in it'],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('../commands/export.js')).exportModel(checkpoint, out, options),
    );
}
