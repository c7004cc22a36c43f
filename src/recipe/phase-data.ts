import type { DataSettings } from './recipe-data.js';

/** The owner of images: the run, or a module with its own image folder. */
export type DataOwner = 'run' | `MT/${number}`;

/** The images of all phases of a run. */
export interface DataOfRun {
  readonly run: DataSettings;
  /** The images of modules with data settings of their own, by phase. */
  readonly modules: Readonly<Record<string, DataSettings>>;
  /** The run, and the modules with their own image folder. */
  readonly owners: readonly DataOwner[];
}

/** The images of a phase, or of the run. */
export function dataOf({ run, modules }: DataOfRun, name: string): DataSettings {
  return Object.hasOwn(modules, name) ? modules[name] : run;
}

/** The owner of a phase's images. */
export function dataOwnerOf({ owners }: DataOfRun, phase: string): DataOwner {
  return owners.find((owner) => owner === phase) ?? 'run';
}
