/** Calls to Google's REST APIs: a small JSON client where an SDK would cost a cold start. */
import type { GoogleAuth } from 'google-auth-library';
import { tryAgain } from './retry.ts';

export interface RestCall {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly body?: unknown;
}

/** Answers the JSON body. @throws Transient, Permanent */
export type Rest = (call: RestCall) => Promise<unknown>;

class NotOk extends Error {
  override readonly name = 'NotOk';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Plain HTTP is spoken only with a server on the same machine, which asks for no credentials. */
export const isPlain = (endpoint: string): boolean => endpoint.startsWith('http://');

/** Loaded with the first call that needs it. */
let auth: Promise<GoogleAuth> | undefined;

async function connect(): Promise<GoogleAuth> {
  const sdk = await import('google-auth-library');
  return new sdk.GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
}

async function authorization(url: string): Promise<Record<string, string>> {
  if (isPlain(url)) return {};
  auth ??= connect();
  return Object.fromEntries(await (await auth).getRequestHeaders(url));
}

const TIMEOUT_MS = 30_000;

async function once({ method, url, body }: RestCall): Promise<unknown> {
  const answer = await fetch(url, {
    method,
    headers: { ...(await authorization(url)), 'content-type': 'application/json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (answer.ok) return text === '' ? {} : JSON.parse(text);
  throw new NotOk(answer.status, messageOf(text));
}

function messageOf(text: string): string {
  try {
    const parsed = JSON.parse(text) as { error?: { message?: string } };
    return parsed.error?.message ?? text.slice(0, 500);
  } catch {
    return text.slice(0, 500);
  }
}

/** Calls with retries; use it only for calls that may be repeated. */
export const googleRest: Rest = (call) =>
  tryAgain(
    `${call.method} ${new URL(call.url).pathname}`,
    () => once(call),
    (error) => {
      if (error instanceof NotOk) return { status: error.status, message: error.message };
      const cause = error instanceof Error ? (error.cause ?? error) : error;
      // Nobody has logged in on this machine, and waiting does not change that.
      if (/default credentials/i.test(String(cause))) {
        return {
          status: 401,
          message: `${String(cause)}; run: gcloud auth application-default login`,
        };
      }
      return { status: 0, message: cause instanceof Error ? cause.message : String(cause) };
    },
  );
