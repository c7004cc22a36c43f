import { InputError } from '../base/errors.js';
import { areNumbers, className, labelsByName, numbered, sameClasses } from '../data/class-names.js';
import type { Dataset } from '../data/dataset.js';
import { withModelLabels } from '../data/model-labels.js';
import { sortedNames } from '../files/file-names.js';
import type { Images } from './images/images.js';
import type { CheckpointClasses } from './start/checkpoint-classes.js';

/** What a phase starts or continues from, as far as its labels are concerned. */
export interface StartLabels {
  /** A message's name for it: `FT`, `start.model vit.pth`. */
  readonly name: string;
  /** Absent where it does not name its classes. */
  readonly classes: CheckpointClasses | undefined;
  /** It is of the run itself, whose images have been compared with those it was trained on. */
  readonly isOfRun: boolean;
}

/** Images with the labels of what a phase starts from, and what was assumed of them. */
export interface PhaseLabels {
  readonly images: Images;
  readonly notes: readonly string[];
}

/**
 * Gives a phase's images the labels that the weights it starts from have for the names of their classes. Where those name
 * none, or name ImageNet's ids by words, the order of the images' classes is taken, which is said.
 *
 * @throws InputError that lists classes which those weights do not know
 */
export function phaseLabels(images: Images, start: StartLabels | undefined): PhaseLabels {
  const { train, val } = images;
  const { classes: names } = train;
  if (start === undefined) return { images, notes: [] };
  const { classes: named, name, isOfRun } = start;
  if (train.isUnnamed) return { images, notes: isOfRun ? [] : numbersAssumed(start) };
  if (named === undefined) {
    const text = `labels in the order of the classes: ${numbered(names)} (${name} does not name its classes)`;
    return { images, notes: isOfRun ? [] : [`assumed: ${text}`] };
  }
  const note = `labels are those of ${name}: ${numbered(named.names)}`;
  if (sameClasses(names, named.names)) {
    return { images, notes: isOfRun || isSorted(names) ? [] : [note] };
  }
  // Renamed since, which was accepted: the run keeps the labels itself.
  if (isOfRun && !areSame(names, named.names)) return { images, notes: [] };
  const model = {
    count: named.names.length,
    named: { names: named.names, from: name },
    isCertain: named.isOurs,
    whatToDo:
      'Rename the classes, or set start.head to new: the head is then trained for the classes of the images.',
  };
  const labelled = withModelLabels(train, model, 'the training images');
  if (labelled.assumptions.length > 0) {
    return { images, notes: labelled.assumptions.map((text) => `assumed: ${text}`) };
  }
  return {
    images: {
      ...images,
      train: labelled.dataset,
      val: withModelLabels(val, model, 'the validation images').dataset,
    },
    notes: [note],
  };
}

/**
 * Compares the classes of a model that teaches with those of the images: it says of each which it takes it for.
 *
 * @returns what was assumed
 * @throws InputError where it knows other classes, or the same in another order
 */
export function requireTeachersLabels(train: Dataset, { name, classes }: StartLabels): readonly string[] {
  if (train.isUnnamed || classes === undefined || sameClasses(train.classes, classes.names)) return [];
  const hint = 'Take a teacher that was trained on the classes of the images.';
  const model = {
    count: classes.names.length,
    named: { names: classes.names, from: name },
    isCertain: classes.isOurs,
    whatToDo: hint,
  };
  const { assumptions } = withModelLabels(train, model, 'the training images');
  if (assumptions.length > 0) return assumptions.map((text) => `assumed: ${text}`);
  const label = train.classes.findIndex((each, i) => className(each) !== className(classes.names[i]));
  throw new InputError(
    `${name} has the classes in another order: class ${label} is ${classes.names[label]}, of the images ${train.classes[label]}`,
    { hint },
  );
}

/** @throws InputError where modules that are to be assembled were trained with other labels */
export function requireSameLabels(starts: readonly StartLabels[]): void {
  const [first, ...others] = starts.filter(({ classes }) => classes !== undefined);
  const other = others.find(
    ({ classes }) => first.classes && classes && !sameClasses(first.classes.names, classes.names),
  );
  if (other === undefined) return;
  const [a, b] = [first, other].map(({ classes }) => classes?.names ?? []);
  const label = a.findIndex((name, i) => name !== b[i]);
  throw new InputError(
    `${first.name} and ${other.name} were trained with other labels: class ${label} is ${a[label]} and ${b[label]}`,
    { hint: 'Modules fit together that were trained on the same classes: train one of them again.' },
  );
}

/** Of images whose classes are numbers, such as Fashion-MNIST's. */
function numbersAssumed({ name, classes }: StartLabels): string[] {
  if (classes === undefined || areNumbers(classes.names)) return [];
  return [
    `assumed: the labels of the images, which are numbers, are those of ${name}: ${numbered(classes.names)}`,
  ];
}

/** Whether each class has the label that its name alone would give it. */
function isSorted(names: readonly string[]): boolean {
  return sameClasses(names, sortedNames([...names]));
}

function areSame(a: readonly string[], b: readonly string[]): boolean {
  const labelsOf = labelsByName(b);
  return a.length === b.length && a.every((name) => labelsOf(name).length === 1);
}
