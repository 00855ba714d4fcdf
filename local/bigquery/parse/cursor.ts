/** The parser's place in the tokens of a script, and what it says when another token was expected. */

import { QueryFault } from '../refusal.ts';
import { lex, type Token } from './lex.ts';

/** Words that name nothing unless they are quoted. */
export const RESERVED = new Set(
  (
    'ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT ' +
    'DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM ' +
    'FULL GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT ' +
    'LOOKUP MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE ' +
    'RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST ' +
    'USING WHEN WHERE WINDOW WITH WITHIN'
  ).split(' '),
);

export class Cursor {
  readonly source: string;
  readonly tokens: readonly Token[];
  index = 0;
  positional = 0;
  depth = 0;

  constructor(source: string) {
    this.source = source;
    this.tokens = lex(source);
  }

  // Tokens

  get token(): Token {
    return this.tokens[this.index] as Token;
  }

  ahead(count: number): Token {
    return this.tokens[Math.min(this.index + count, this.tokens.length - 1)] as Token;
  }

  /** True when the next tokens are these words or signs. */
  sees(...keys: readonly string[]): boolean {
    return keys.every((key, offset) => this.ahead(offset).key === key);
  }

  takes(...keys: readonly string[]): boolean {
    if (!this.sees(...keys)) return false;
    this.index += keys.length;
    return true;
  }

  expect(key: string): Token {
    const token = this.token;
    if (token.key !== key) throw this.unexpected(/\w/.test(key) ? `keyword ${key}` : `"${key}"`);
    this.index += 1;
    return token;
  }

  unexpected(expected?: string): QueryFault {
    const { kind, text, key, at } = this.token;
    const what =
      kind === 'end'
        ? 'end of script'
        : kind === 'word' && RESERVED.has(key)
          ? `keyword ${key}`
          : kind === 'word' || kind === 'quoted'
            ? `identifier "${text}"`
            : kind === 'number'
              ? `number literal "${text}"`
              : kind === 'string'
                ? `string literal "${text}"`
                : kind === 'param'
                  ? `"@"`
                  : `"${text}"`;
    return new QueryFault(
      expected === undefined
        ? `Syntax error: Unexpected ${what}`
        : `Syntax error: Expected ${expected} but got ${what}`,
      at,
    );
  }

  seesName(): boolean {
    return (
      this.token.kind === 'quoted' || (this.token.kind === 'word' && !RESERVED.has(this.token.key))
    );
  }

  name(): string {
    if (!this.seesName()) throw this.unexpected('identifier');
    this.index += 1;
    return (this.tokens[this.index - 1] as Token).text;
  }

  ends(): boolean {
    return this.token.kind === 'end';
  }

  list<T>(item: () => T): T[] {
    const items = [item()];
    while (this.takes(',')) items.push(item());
    return items;
  }

  /** Guards the JavaScript stack against thousands of nested brackets. */
  nested<T>(work: () => T): T {
    this.depth += 1;
    if (this.depth > 200) throw new QueryFault('Query is too deeply nested', this.token.at);
    const result = work();
    this.depth -= 1;
    return result;
  }

  path(): string[] {
    if (this.token.kind === 'word' && RESERVED.has(this.token.key)) throw this.unexpected();
    const parts = this.tablePart();
    while (this.takes('.')) parts.push(...this.tablePart());
    return parts;
  }

  /** One part of a table name: `a.b.c` in back-ticks is three; a project may hold dashes without them. */
  tablePart(): string[] {
    if (this.token.kind === 'quoted') {
      const text = this.token.text;
      this.index += 1;
      return text.split('.');
    }
    if (this.token.kind !== 'word') throw this.unexpected('identifier');
    let text = this.token.text;
    this.index += 1;
    while (
      this.sees('-') &&
      ['word', 'number'].includes(this.ahead(1).kind) &&
      this.token.at === this.ahead(-1).end &&
      this.ahead(1).at === this.token.end
    ) {
      text += `-${this.ahead(1).text}`;
      this.index += 2;
    }
    return [text];
  }

  columns(): string[] {
    this.expect('(');
    const columns = this.list(() => this.name());
    this.expect(')');
    return columns;
  }
}
