/** Current activity of a phase's process. */
export type Activity = 'training' | 'evaluating' | 'saving';

export const ACTIVITIES = ['training', 'evaluating', 'saving'] as const satisfies readonly Activity[];
