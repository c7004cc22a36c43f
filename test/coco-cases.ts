import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pythonPath } from './needs.js';

/** Cases that test/fixtures/make-coco.py has made with pycocotools. */
export interface CocoCases {
  readonly polygons: readonly {
    readonly height: number;
    readonly width: number;
    readonly polygons: readonly (readonly number[])[];
    readonly counts: string;
  }[];
  readonly masks: readonly {
    readonly height: number;
    readonly width: number;
    /** A digit for each pixel, row by row. */
    readonly masks: readonly [string, string];
    readonly counts: readonly [string, string];
    readonly areas: readonly [number, number];
    readonly merged: string;
    readonly iou: number;
    readonly crowd: number;
  }[];
  readonly sets: readonly {
    readonly truths: object;
    readonly results: readonly object[];
    readonly figures: Readonly<Record<'boxes' | 'masks', readonly number[]>>;
  }[];
}

const pathOf = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

/** The cases in the repository. */
export const cocoCases: CocoCases = JSON.parse(readFileSync(pathOf('coco.json'), 'utf8'));

/** New random cases. Needs `python` of test/needs.ts. */
export function freshCocoCases(options: { readonly polygons: number; readonly sets: number }): CocoCases {
  const args = ['--print', '--seed', '1', '--polygons', `${options.polygons}`, '--sets', `${options.sets}`];
  const most = { encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
  return JSON.parse(execFileSync(pythonPath, [pathOf('make-coco.py'), ...args], most));
}
