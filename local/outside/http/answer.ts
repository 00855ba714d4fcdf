/** What reaches a stand-in of an HTTP API. */
export interface Request {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
  /** How the connection ends: whole, within the body, before any answer, or never. */
  readonly ending: 'whole' | 'half' | 'none' | 'hang';
}

/** A connection that brings no answer: it closes, or stays open for good. */
export const unanswered = (ending: 'none' | 'hang'): Answer => ({
  status: 0,
  headers: {},
  body: '',
  ending,
});
