import { DeepIncubationError, errorText, InputError, RunError } from '../../base/errors.js';
import type { HubName } from './hub-name.js';

/** Converts an error of a request to the hub to one of this library's errors. */
export function hubError(error: unknown, wanted: HubName, hubUrl: string): DeepIncubationError {
  if (error instanceof DeepIncubationError) return error;
  const status = statusOf(error);
  if (status === undefined) return unanswered(error, wanted, hubUrl);
  const message = `${wanted.name}: the hub answered: ${saidIn(error) ?? `status ${status}`}`;
  // The hub also answers 401 if a repository does not exist.
  if (status === 401 || status === 403) {
    return new InputError(message, {
      hint: 'check owner and repository; a private or gated one needs an access token in HF_TOKEN',
      cause: error,
    });
  }
  if (status === 404) {
    return new InputError(message, {
      hint: `check owner, repository and revision (${wanted.revision})`,
      cause: error,
    });
  }
  return new RunError(message, { hint: 'try again later', cause: error });
}

/** @param type type of the entry that was found instead, if any */
export function notThere({ name, owner, repo, revision }: HubName, path: string, type?: string): InputError {
  const what = type === 'directory' ? 'a folder' : `not in ${owner}/${repo} at revision ${revision}`;
  return new InputError(`${name}: ${path} is ${what}`, {
    hint: 'use a file name that the repository lists, such as model.safetensors',
  });
}

export function noWeights(
  { name, owner, repo, revision }: HubName,
  candidates: readonly string[],
): InputError {
  return new InputError(`${name}: ${owner}/${repo} at revision ${revision} has no ${candidates.join(', ')}`, {
    hint: `name the file with the weights: hf:${owner}/${repo}/path/in/repo`,
  });
}

/** Error for a response that is longer than any list of files. */
export function tooLongAnswer({ name }: HubName, hubUrl: string, most: number): RunError {
  return new RunError(`${name}: ${hubUrl} is not a hub (its answer has more than ${most} bytes)`, {
    hint: NETWORK,
  });
}

/** Error for a JSON file that is longer than any real description of a model. */
export function tooLongFile({ name }: HubName, path: string, size: number, most: number): InputError {
  return new InputError(
    `${name}: ${path} has ${size} bytes, more than the limit of ${most} for such a file`,
    {
      hint: 'check the name and the repository; or download the weights another way and use their path',
    },
  );
}

const NETWORK = 'check the network and HF_ENDPOINT; or download the file another way and use its path';

function unanswered(error: unknown, { name }: HubName, hubUrl: string): RunError {
  const isNetwork = error instanceof TypeError && error.cause instanceof Error;
  const what = isNetwork
    ? `${hubUrl} cannot be reached (${reason(error.cause)})`
    : `${hubUrl} is not a hub (${errorText(error).split('\n', 1)[0]})`;
  return new RunError(`${name}: ${what}`, {
    hint: NETWORK,
    cause: error,
  });
}

/** If several addresses were tried, the error has only a code, no message. */
function reason(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return code || errorText(cause);
}

function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : undefined;
}

/** The message in the hub's response, without the request's address and number. */
function saidIn(error: unknown): string | undefined {
  const data = error instanceof Error && 'data' in error ? error.data : undefined;
  const said = typeof data === 'object' && data !== null && 'error' in data ? data.error : undefined;
  return typeof said === 'string' && said !== '' ? said : undefined;
}
