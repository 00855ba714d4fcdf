import type { Answer } from '../http/answer.ts';

export const text = (
  body: string | Buffer,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Answer => ({
  status,
  headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
  body,
  ending: 'whole',
});

export const json = (
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Answer => text(JSON.stringify(value), status, headers);

export const refusal = (
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer => json({ error: { status, message } }, status, headers);
