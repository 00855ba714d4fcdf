import type { Answer } from '../http/answer.ts';
import type { PolicyName } from './limits.ts';

const CORRELATION = 'b7f3c1d2-5a00-4e11-9c53-7d0d6a2c9f10';

export function json(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return text(JSON.stringify(value), status, headers);
}

export function text(
  body: string | Buffer,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status,
    headers: { 'Content-Type': 'application/json;charset=utf-8', ...headers },
    body,
    ending: 'whole',
  };
}

/** HubSpot's error body; every field of it is optional in theory. */
export function failure(
  status: number,
  message: string,
  more: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return json({ status: 'error', message, correlationId: CORRELATION, ...more }, status, headers);
}

const LIMIT_MESSAGES: Readonly<Record<PolicyName, string>> = {
  SECONDLY: 'You have reached your secondly limit.',
  TEN_SECONDLY_ROLLING: 'You have reached your ten_secondly_rolling limit.',
  DAILY: 'You have reached your daily limit.',
};

export function tooMany(policyName: PolicyName, headers: Readonly<Record<string, string>>): Answer {
  return failure(
    429,
    LIMIT_MESSAGES[policyName],
    { errorType: 'RATE_LIMIT', policyName, requestId: CORRELATION },
    headers,
  );
}

export const badToken = (): Answer =>
  failure(
    401,
    'Authentication credentials not found. This API supports OAuth 2.0 authentication.',
    {
      category: 'INVALID_AUTHENTICATION',
    },
  );

export const missingScope = (scopes: readonly string[]): Answer =>
  failure(403, "This app hasn't been granted all required scopes to make this call.", {
    category: 'MISSING_SCOPES',
    errors: [
      {
        message: 'One or more of the following scopes are required.',
        context: { missingScopes: scopes },
      },
    ],
  });

export const invalid = (message: string): Answer =>
  failure(400, message, { category: 'VALIDATION_ERROR' });
export const notFound = (message: string): Answer =>
  failure(404, message, { category: 'OBJECT_NOT_FOUND' });
