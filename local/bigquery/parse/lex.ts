import { QueryFault } from '../refusal.ts';

/** A token of GoogleSQL. `at` and `end` are offsets in the source; `text` is decoded (no quotes, escapes resolved). */
export interface Token {
  readonly kind: 'word' | 'quoted' | 'number' | 'string' | 'bytes' | 'param' | 'punct' | 'end';
  readonly text: string;
  /** Upper case of a word, the sign itself for punctuation, else empty: what the parser compares. */
  readonly key: string;
  readonly at: number;
  readonly end: number;
}

const SIGNS = [
  '||',
  '<=',
  '>=',
  '<>',
  '!=',
  '<<',
  '>>',
  '=>',
  '|>',
  '(',
  ')',
  '[',
  ']',
  ',',
  ';',
  '.',
  '+',
  '-',
  '*',
  '/',
  '=',
  '<',
  '>',
  '&',
  '|',
  '^',
  '~',
  '?',
  ':',
  '@',
] as const;

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  '"': '"',
  "'": "'",
  '`': '`',
};

/** Splits GoogleSQL into tokens; the last one is of kind `end`. Throws a QueryFault on an unclosed literal or stray sign. */
export function lex(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let i = 0;
  const push = (kind: Token['kind'], text: string, at: number): void => {
    const key = kind === 'word' ? text.toUpperCase() : kind === 'punct' ? text : '';
    tokens.push({ kind, text, key, at, end: i });
  };
  while (i < source.length) {
    const at = i;
    const char = source[i] as string;
    if (/\s/.test(char)) {
      i += 1;
    } else if (char === '#' || source.startsWith('--', i)) {
      while (i < source.length && source[i] !== '\n') i += 1;
    } else if (source.startsWith('/*', i)) {
      const close = source.indexOf('*/', i + 2);
      if (close < 0) throw new QueryFault('Syntax error: Unclosed comment', at);
      i = close + 2;
    } else if (char === '`') {
      const name = quoted('`', '`', false);
      if (name === '') throw new QueryFault('Syntax error: Invalid empty identifier', at);
      push('quoted', name, at);
    } else {
      const prefix = /^(?:rb|br|r|b)?(?='|")/i.exec(source.slice(i, i + 3));
      if (prefix !== null) {
        i += prefix[0].length;
        const flags = prefix[0].toLowerCase();
        const quote = source[i] as string;
        const triple = quote.repeat(3);
        const text = quoted(
          source.startsWith(triple, i) ? triple : quote,
          quote,
          flags.includes('r'),
        );
        push(flags.includes('b') ? 'bytes' : 'string', text, at);
      } else if (/[A-Za-z_]/.test(char)) {
        i += (/^\w+/.exec(source.slice(i)) as RegExpExecArray)[0].length;
        push('word', source.slice(at, i), at);
      } else if (
        /[0-9]/.test(char) ||
        (char === '.' && /[0-9]/.test(source[i + 1] ?? '') && !afterPath())
      ) {
        const number = /^(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/.exec(
          source.slice(i),
        );
        i += (number as RegExpExecArray)[0].length;
        if (/[A-Za-z_]/.test(source[i] ?? ''))
          throw new QueryFault('Syntax error: Missing whitespace between literal and alias', i);
        push('number', source.slice(at, i), at);
      } else if (char === '@' && /[A-Za-z_`]/.test(source[i + 1] ?? '')) {
        i += 1;
        if (source[i] === '`') push('param', quoted('`', '`', false), at);
        else {
          i += (/^\w+/.exec(source.slice(i)) as RegExpExecArray)[0].length;
          push('param', source.slice(at + 1, i), at);
        }
      } else {
        const sign = SIGNS.find((candidate) => source.startsWith(candidate, i));
        if (sign === undefined)
          throw new QueryFault(`Syntax error: Illegal input character "${char}"`, at);
        i += sign.length;
        push('punct', sign, at);
      }
    }
  }
  push('end', '', i);
  return tokens;

  function afterPath(): boolean {
    const last = tokens.at(-1);
    return last !== undefined && last.end === i && ['word', 'quoted'].includes(last.kind);
  }

  function quoted(mark: string, quote: string, raw: boolean): string {
    const at = i;
    i += mark.length;
    let text = '';
    while (!source.startsWith(mark, i)) {
      if (i >= source.length || (mark.length === 1 && source[i] === '\n')) {
        const what =
          quote === '`' ? 'identifier' : mark.length === 3 ? 'triple-quoted string' : 'string';
        throw new QueryFault(`Syntax error: Unclosed ${what} literal`, at);
      }
      if (source[i] !== '\\') text += source[i++];
      else if (raw) {
        text += source.slice(i, i + 2);
        i += 2;
      } else text += escaped();
    }
    i += mark.length;
    return text;
  }

  function escaped(): string {
    const at = i;
    const char = source[i + 1] ?? '';
    i += 2;
    const simple = SIMPLE_ESCAPES[char];
    if (simple !== undefined) return simple;
    const width = { x: 2, X: 2, u: 4, U: 8 }[char];
    const digits = width === undefined ? /^[0-7]{3}/.exec(source.slice(i - 1)) : null;
    const hex = width === undefined ? undefined : source.slice(i, i + width);
    if (digits !== null) {
      i += 2;
      return String.fromCodePoint(Number.parseInt(digits[0], 8));
    }
    if (
      hex === undefined ||
      hex.length !== width ||
      !/^[0-9a-fA-F]+$/.test(hex) ||
      Number.parseInt(hex, 16) > 0x10ffff
    )
      throw new QueryFault(`Syntax error: Illegal escape sequence: \\${char}`, at);
    i += hex.length;
    return String.fromCodePoint(Number.parseInt(hex, 16));
  }
}
