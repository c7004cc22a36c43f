import { z } from 'zod';
import { errorText, RunError } from '../../base/errors.js';

/** A server that does not answer within this time counts as unreachable. */
const PATIENCE_MS = 10_000;

interface Request {
  /** The tracker, for messages. */
  readonly label: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Absent: a GET request. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** The parsed JSON, or the text if it is something else. */
  readonly content: unknown;
}

/** Sends a request to a tracker. Throws a `RunError` if the server cannot be reached; any status is an answer. */
export async function ask({ label, url, headers, body, signal }: Request): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
    return { status: response.status, content: parsed(await response.text()) };
  } catch (error) {
    throw new RunError(`${label} does not answer (${reason(error)})`, {
      hint: 'check the address and that the server is running',
      cause: error,
    });
  }
}

/** Like `ask`, for a request whose failure is an error. */
export async function demand(request: Request): Promise<unknown> {
  const answer = await ask(request);
  if (answer.status >= 200 && answer.status < 300) return answer.content;
  throw refused(request.label, answer);
}

export function refused(label: string, { status, content }: Answer): RunError {
  const failure = errorSchema.safeParse(content).data;
  const text = failure?.message ?? failure?.error ?? failure?.error_code ?? `status ${status}`;
  return new RunError(`${label} answered: ${text.split('\n', 1)[0].slice(0, 300)}`, {
    hint: status === 401 || status === 403 ? 'check the token: see docs/trackers.md' : 'see docs/trackers.md',
  });
}

const errorSchema = z.object({
  message: z.string().optional(),
  error: z.string().optional(),
  error_code: z.string().optional(),
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return error instanceof Error && error.name === 'TimeoutError'
    ? `no answer within ${PATIENCE_MS / 1000} s`
    : errorText(cause ?? error);
}
