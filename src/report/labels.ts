/** What numbers are called wherever a person reads them: in the terminal, in `status`, on the page, in reports and cards. */

/** Of the training images of a step, as optimised: augmented images, mixed or smoothed labels. */
export const TRAIN_LOSS = 'train loss';

/** Mean cross-entropy of the evaluation images, plain labels. */
export const EVAL_LOSS = 'eval loss';

/** Seconds spent in training steps; evaluation and start-up are left out. */
export const TRAIN_TIME = 'train time';

/** Images trained on per second of training time. */
export const TRAIN_SPEED = 'train images/s';
