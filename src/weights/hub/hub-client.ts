import { z } from 'zod';
import { DeepIncubationError, errorText, InputError, RunError } from '../../base/errors.js';
import { MOST_TEXT } from '../../files/small-file.js';
import { type HubProgress, type RemoteFile, saveDownload, wrongBytes } from './hub-download.js';
import type { HubName } from './hub-name.js';

/** What a request to the hub was about, for its errors. */
export interface HubRequest {
  /** The repository or file, as the user wrote it. */
  readonly name: string;
  readonly hubUrl: string;
  /** Hint if the hub denies access. */
  readonly denied: string;
  /** Hint if the hub does not have what was requested. */
  readonly missing: string;
  /** Hint if the hub cannot be reached. */
  readonly network: string;
}

/** Converts an error of a request to the hub to one of this library's errors. */
export function hubError(error: unknown, request: HubRequest): DeepIncubationError {
  if (error instanceof DeepIncubationError) return error;
  const status = statusOf(error);
  if (status === undefined) return unanswered(error, request);
  const message = `${request.name}: the hub answered: ${saidIn(error) ?? `status ${status}`}`;
  // The hub also answers 401 if a repository does not exist.
  if (status === 401 || status === 403)
    return new InputError(message, { hint: request.denied, cause: error });
  if (status === 404) return new InputError(message, { hint: request.missing, cause: error });
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
function tooLongAnswer({ name }: HubName, hubUrl: string, most: number): RunError {
  return new RunError(`${name}: ${hubUrl} is not a hub (its answer has more than ${most} bytes)`, {
    hint: NETWORK,
  });
}

/** Error for a JSON file that is longer than any real description of a model. */
function tooLongFile({ name }: HubName, path: string, size: number, most: number): InputError {
  return new InputError(
    `${name}: ${path} has ${size} bytes, more than the limit of ${most} for such a file`,
    {
      hint: 'check the name and the repository; or download the weights another way and use their path',
    },
  );
}

const NETWORK = 'check the network and HF_ENDPOINT; or download the file another way and use its path';

function unanswered(error: unknown, { name, hubUrl, network }: HubRequest): RunError {
  const isNetwork = error instanceof TypeError && error.cause instanceof Error;
  const what = isNetwork
    ? `${hubUrl} cannot be reached (${reason(error.cause)})`
    : `${hubUrl} is not a hub (${errorText(error).split('\n', 1)[0]})`;
  return new RunError(`${name}: ${what}`, { hint: network, cause: error });
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
  const text = typeof data === 'object' && data !== null && 'error' in data ? data.error : undefined;
  return typeof text === 'string' && text !== '' ? text : undefined;
}

/** Requests to the hub about one repository. All throw InputError, RunError, or the signal's reason. */
export interface Hub {
  /** Those of the given files that the repository has. Throws if the wanted file is among `paths` and missing. */
  look(paths: readonly string[]): Promise<RemoteFile[]>;
  /** Downloads a file to `place`, where it appears only if it is complete and verified. */
  fetch(file: RemoteFile, place: string): Promise<void>;
}

const infoSchema = z.object({
  path: z.string(),
  type: z.string(),
  size: z.int().nonnegative(),
  oid: z.string(),
  /** Only for files in large-file storage. */
  lfs: z.object({ oid: z.string() }).optional(),
});

export async function openHub(
  wanted: HubName,
  options: {
    readonly env: NodeJS.ProcessEnv;
    readonly onProgress?: HubProgress;
    readonly signal?: AbortSignal;
  },
): Promise<Hub> {
  const { signal, onProgress } = options;
  // Loaded only if a file has to be downloaded.
  const { downloadFile, HUB_URL, pathsInfo } = await import('@huggingface/hub');
  const hubUrl = endpointOf(options.env) ?? HUB_URL;
  const accessToken = tokenOf(options.env);
  const api = {
    repo: { type: 'model' as const, name: `${wanted.owner}/${wanted.repo}` },
    revision: wanted.revision,
    hubUrl,
    ...(accessToken !== undefined && { accessToken }),
    fetch: boundedFetch(MOST_TEXT, () => tooLongAnswer(wanted, hubUrl, MOST_TEXT), signal),
  };
  const asked = async <T>(question: () => Promise<T>): Promise<T> => {
    try {
      return await question();
    } catch (error) {
      signal?.throwIfAborted();
      throw hubError(error, {
        name: wanted.name,
        hubUrl,
        denied: 'check owner and repository; a private or gated one needs an access token in HF_TOKEN',
        missing: `check owner, repository and revision (${wanted.revision})`,
        network: NETWORK,
      });
    }
  };

  return {
    look: (paths) =>
      asked(async () => {
        const infos = z.array(infoSchema).parse(await pathsInfo({ ...api, paths: [...paths] }));
        return paths.flatMap((path) => {
          const info = infos.find((each) => each.path === path);
          if (info?.type === 'file') return [remoteFile(info)];
          if (path === wanted.path) throw notThere(wanted, path, info?.type);
          return [];
        });
      }),

    fetch: (file, place) =>
      asked(async () => {
        // Plain download with redirects: the chunked protocol (xet) would give the same bytes.
        requireSmall(file, wanted);
        const bounded = boundedFetch(
          Math.max(file.size, MOST_ERROR),
          () => wrongBytes(wanted.name, `received more than ${file.size} bytes`),
          signal,
        );
        const blob = await downloadFile({ ...api, fetch: bounded, path: file.path, xet: false });
        if (blob === null) throw notThere(wanted, file.path);
        const source = { name: wanted.name, open: (from: number) => blob.slice(from, file.size).stream() };
        await saveDownload(file, source, place, onProgress);
      }),
  };
}

/** Size limit for an error page, in bytes. */
const MOST_ERROR = 2 ** 20;

/** Limits the size of descriptions and indexes, because they are read into memory at once. */
function requireSmall({ path, size }: RemoteFile, wanted: HubName): void {
  if (path.endsWith('.json') && size > MOST_TEXT) throw tooLongFile(wanted, path, size, MOST_TEXT);
}

function remoteFile({ path, size, oid, lfs }: z.infer<typeof infoSchema>): RemoteFile {
  return lfs === undefined
    ? { path, size, digest: { kind: 'git', hex: oid } }
    : { path, size, digest: { kind: 'sha256', hex: lfs.oid.replace(/^sha256:/, '') } };
}

/** @throws InputError if HF_ENDPOINT is not an address */
export function endpointOf({ HF_ENDPOINT: endpoint }: NodeJS.ProcessEnv): string | undefined {
  if (!endpoint) return undefined;
  if (/^https?:/.test(endpoint) && URL.canParse(endpoint)) return endpoint.replace(/\/+$/, '');
  throw new InputError(`HF_ENDPOINT is ${endpoint}, which is not a valid address`, {
    hint: 'use an address such as https://hub.example.org, or unset HF_ENDPOINT',
  });
}

/** @throws InputError if HF_TOKEN is not a token */
export function tokenOf({ HF_TOKEN: token }: NodeJS.ProcessEnv): string | undefined {
  if (!token) return undefined;
  if (token.startsWith('hf_')) return token;
  throw new InputError('HF_TOKEN is not an access token of the hub: tokens start with hf_', {
    hint: 'set it to one of your tokens, or unset it: public files need no token',
  });
}

/**
 * `fetch` with responses of at most `most` bytes: a longer body fails with `tooLong()`, and its connection is closed. A
 * server may send more than the stated length, or send without end.
 */
function boundedFetch(most: number, tooLong: () => Error, signal?: AbortSignal): typeof fetch {
  return async (input, init) =>
    bounded(await fetch(input, { ...init, ...(signal && { signal }) }), most, tooLong);
}

function bounded(response: Response, most: number, tooLong: () => Error): Response {
  const { body, status, statusText, headers, url } = response;
  if (body === null) return response;
  let bytes = 0;
  const counted = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.length;
        if (bytes > most) controller.error(tooLong());
        else controller.enqueue(chunk);
      },
    }),
  );
  // A constructed response has no URL.
  return Object.defineProperty(new Response(counted, { status, statusText, headers }), 'url', { value: url });
}
