import { InputError } from '../base/errors.js';
import {
  areNumbers,
  className,
  labelsByName,
  type NamedClasses,
  numbered,
  sameClasses,
} from '../data/class-names.js';
import type { Dataset } from '../data/dataset.js';
import { withModelLabels } from '../data/model-labels.js';
import { sortedNames } from '../files/file-names.js';
import type { Images } from './images/images.js';

/** The names of a checkpoint's classes. */
export interface CheckpointClasses extends NamedClasses {
  /** Whether a run wrote them, so that they are the classes of its training images. */
  readonly isOurs: boolean;
  /** How another list of the same file contradicts the names. */
  readonly conflict?: string | undefined;
}

/** Labels of the weights that a phase starts or resumes from. */
export interface StartLabels {
  /** Name of the weights in messages: `FT`, `start.model vit.pth`. */
  readonly name: string;
  /** Undefined if the weights do not name their classes. */
  readonly classes: CheckpointClasses | undefined;
  /** Whether the weights are from the run itself, whose images have already been compared with those it was trained on. */
  readonly isOfRun: boolean;
}

/** Images with the labels of the weights that a phase starts from, and notes on assumptions about them. */
interface PhaseLabels {
  readonly images: Images;
  readonly notes: readonly string[];
}

/**
 * Gives a phase's images the labels that its initial weights use for the names of their classes. If the weights name no
 * classes, or name ImageNet's ids by words, the order of the images' classes is used and a note says so.
 *
 * @throws InputError listing classes that the weights do not know
 */
export function phaseLabels(images: Images, start: StartLabels | undefined): PhaseLabels {
  const { train, val } = images;
  const { classes: names } = train;
  if (start === undefined) return { images, notes: [] };
  const { classes: named, name, isOfRun } = start;
  if (train.isUnnamed) return { images, notes: isOfRun ? [] : numbersAssumed(start) };
  if (named === undefined) {
    const text = `labels follow the order of the classes: ${numbered(names)} (${name} does not name its classes)`;
    return { images, notes: isOfRun ? [] : [`assumed: ${text}`] };
  }
  const note = `labels are those of ${name}: ${numbered(named.names)}`;
  if (sameClasses(names, named.names)) {
    return { images, notes: isOfRun || isSorted(names) ? [] : [note] };
  }
  // Classes were renamed and the change was accepted; the run keeps the labels itself.
  if (isOfRun && !areSame(names, named.names)) return { images, notes: [] };
  const model = {
    count: named.names.length,
    named: { names: named.names, from: name },
    isCertain: named.isOurs,
    whatToDo:
      'Rename the classes, or set start.head to new: then a new head is trained for the classes of the images.',
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
 * Compares the classes of a teacher with those of the images, because its outputs must refer to the same labels.
 *
 * @returns the assumptions that were made
 * @throws InputError if the teacher has different classes, or the same classes in a different order
 */
export function requireTeachersLabels(train: Dataset, { name, classes }: StartLabels): readonly string[] {
  if (train.isUnnamed || classes === undefined || sameClasses(train.classes, classes.names)) return [];
  const hint = 'Use a teacher that was trained on the classes of the images.';
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
    `${name} has the classes in another order: class ${label} is ${classes.names[label]} there and ${train.classes[label]} in the images`,
    { hint },
  );
}

/** @throws InputError if the modules to assemble were trained with different labels */
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
    { hint: 'Modules can only be assembled if they were trained on the same classes: retrain one of them.' },
  );
}

/** The assumption for images whose classes are numbers, such as Fashion-MNIST. */
function numbersAssumed({ name, classes }: StartLabels): string[] {
  if (classes === undefined || areNumbers(classes.names)) return [];
  return [`assumed: the numeric labels of the images are those of ${name}: ${numbered(classes.names)}`];
}

/** Whether each class has the label that sorting by name gives it. */
function isSorted(names: readonly string[]): boolean {
  return sameClasses(names, sortedNames([...names]));
}

function areSame(a: readonly string[], b: readonly string[]): boolean {
  const labelsOf = labelsByName(b);
  return a.length === b.length && a.every((name) => labelsOf(name).length === 1);
}
