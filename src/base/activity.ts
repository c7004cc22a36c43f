/** What the process of a phase is doing. */
export type Activity = 'training' | 'evaluating' | 'saving';

export const ACTIVITIES = ['training', 'evaluating', 'saving'] as const satisfies readonly Activity[];
