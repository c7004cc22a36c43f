import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';

/** Allows only resources from this server: nothing inline, no frames, no forms. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
};

export const securityHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
  if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store');
};

/** The dashboard is read-only, so it accepts only GET and HEAD. */
export const onlyReads: MiddlewareHandler = async (c, next) => {
  if (c.req.method !== 'GET' && c.req.method !== 'HEAD')
    return c.text('Only GET and HEAD are supported.\n', 405);
  await next();
};

/**
 * Rejects requests whose Host is a name that an attacker may have pointed at this machine (DNS rebinding), and requests from
 * pages of other sites. Addresses and this machine's own names are allowed, with any port, because tunnels change the port.
 */
export function ownHost(host: string): MiddlewareHandler {
  const names = new Set(['localhost', host.toLowerCase()]);
  const isOwn = (name: string) => {
    if (names.has(name)) return true;
    if (isLoopback(host)) return isLoopback(name);
    const own = hostname().toLowerCase();
    return isIP(name) !== 0 || name === own || name.startsWith(`${own}.`);
  };
  return async (c, next) => {
    if (!isOwn(nameOf(c.req.header('host') ?? ''))) return c.text('Unknown host name.\n', 421);
    if (c.req.header('sec-fetch-site') === 'cross-site' && c.req.path !== '/') {
      return c.text('Requests from other sites are not allowed.\n', 403);
    }
    await next();
  };
}

/** The name in a Host header, without port and brackets. */
function nameOf(header: string): string {
  return header
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1');
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export function newToken(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * Allows requests with the token: with `?token=` once, which sets a cookie that scripts cannot read and removes the token from
 * the URL; or with an `Authorization: Bearer` header.
 */
export function withToken(token: string): MiddlewareHandler {
  const isRight = (given: string | undefined) => given !== undefined && sameText(given, token);
  // Dashboards on the same machine share cookies, so the cookie's name depends on the token.
  const cookie = `deep-incubation-${createHash('sha256').update(token).digest('hex').slice(0, 12)}`;
  return async (c, next) => {
    const asked = c.req.query('token');
    if (asked !== undefined && c.req.path === '/' && isRight(asked)) {
      setCookie(c, cookie, token, { httpOnly: true, sameSite: 'Lax', path: '/' });
      return c.redirect('/', 303);
    }
    const bearer = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1];
    if (isRight(bearer) || isRight(getCookie(c, cookie))) return next();
    return c.text('A token is required: open the address that `npx deep-incubation watch` printed.\n', 401);
  };
}

/** Compares in a time that does not depend on the position of a difference, nor on the lengths. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
