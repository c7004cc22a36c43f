/** Labels that users see: in the terminal, in `status`, on the page, in reports and in model cards. */

/** Loss on the training images of a step, as optimised: augmented images, mixed or smoothed labels. */
export const TRAIN_LOSS = 'train loss';

/** Mean cross-entropy on the evaluation images with plain labels. */
export const EVAL_LOSS = 'eval loss';

/** Seconds spent in training steps, without evaluation and start-up. */
export const TRAIN_TIME = 'train time';

/** Training images per second of training time. */
export const TRAIN_SPEED = 'train images/s';
