/**
 * Subscription filters: `attributes.type = "x" AND NOT (attributes:debug OR ...)`.
 * Grammar of the Pub/Sub documentation: `attributes:key`, `attributes.key = "v"`, `!=`,
 * `hasPrefix(attributes.key, "v")`; AND and OR may not be mixed without parentheses.
 */
import { invalid } from './errors.ts';

type Attributes = Readonly<Record<string, string>>;
export type Filter = (attributes: Attributes) => boolean;

const MAX_BYTES = 256;
const TOKEN =
  /\s*(?:(hasPrefix\b)|(AND\b|OR\b|NOT\b)|(attributes\b)|("(?:[^"\\]|\\.)*")|(!=|[=:.(),-])|([A-Za-z_][\w-]*))/y;

interface Token {
  readonly kind: 'hasPrefix' | 'word' | 'attributes' | 'text' | 'mark' | 'name';
  readonly value: string;
}

const KINDS = ['hasPrefix', 'word', 'attributes', 'text', 'mark', 'name'] as const;

function tokens(source: string): Token[] {
  const list: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (!match) throw invalid(`Invalid filter at character ${at + 1}: ${source}`);
    const group = KINDS.findIndex((_, i) => match[i + 1] !== undefined);
    const text = match[group + 1] as string;
    const kind = KINDS[group] as Token['kind'];
    list.push({ kind, value: kind === 'text' ? (JSON.parse(text) as string) : text });
  }
  return list;
}

/** Compiles a filter; throws INVALID_ARGUMENT for anything outside the grammar. */
export function compileFilter(source: string): Filter {
  if (Buffer.byteLength(source) > MAX_BYTES) {
    throw invalid(`A filter has at most ${MAX_BYTES} bytes.`);
  }
  let list: Token[];
  try {
    list = tokens(source);
  } catch {
    throw invalid(`Invalid filter: ${source}`);
  }
  let at = 0;
  const fail = (): never => {
    throw invalid(`Invalid filter near token ${at + 1}: ${source}`);
  };
  const is = (value: string): boolean => {
    const token = list[at];
    return token !== undefined && token.kind !== 'text' && token.value === value;
  };
  const take = (value: string): void => {
    if (!is(value)) fail();
    at += 1;
  };
  const text = (): string => {
    const token = list[at];
    if (token?.kind !== 'text') fail();
    at += 1;
    return (token as Token).value;
  };
  const key = (): string => {
    const token = list[at];
    if (token === undefined || token.kind === 'mark') fail();
    at += 1;
    return (token as Token).value;
  };
  const term = (): Filter => {
    if (is('NOT') || is('-')) {
      at += 1;
      const inner = term();
      return (attributes) => !inner(attributes);
    }
    if (is('(')) {
      at += 1;
      const inner = expression();
      take(')');
      return inner;
    }
    if (is('hasPrefix')) {
      at += 1;
      take('(');
      take('attributes');
      take('.');
      const name = key();
      take(',');
      const prefix = text();
      take(')');
      return (attributes) => attributes[name]?.startsWith(prefix) ?? false;
    }
    take('attributes');
    if (is(':')) {
      at += 1;
      const name = key();
      return (attributes) => attributes[name] !== undefined;
    }
    take('.');
    const name = key();
    const equal = is('=');
    take(equal ? '=' : '!=');
    const value = text();
    return equal
      ? (attributes) => attributes[name] === value
      : (attributes) => attributes[name] !== value;
  };
  const expression = (): Filter => {
    const terms = [term()];
    const word = is('AND') ? 'AND' : 'OR';
    while (is('AND') || is('OR')) {
      // The service refuses a mix without parentheses rather than defining a precedence.
      take(word);
      terms.push(term());
    }
    return word === 'AND'
      ? (attributes) => terms.every((each) => each(attributes))
      : (attributes) => terms.some((each) => each(attributes));
  };
  const filter = expression();
  if (at !== list.length) fail();
  return filter;
}
