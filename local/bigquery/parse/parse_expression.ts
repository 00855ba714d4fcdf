/** Expressions of GoogleSQL, loosest binding first. */

import { unsupported } from '../refusal.ts';
import type { Call, Expr, FrameBound, OrderItem, Query, TypeName, WindowSpec } from './ast.ts';
import { Cursor, RESERVED } from './cursor.ts';
import type { Token } from './lex.ts';

/** Functions without parentheses, and functions whose name is a reserved word. */
const BARE_CALLS = new Set(['CURRENT_DATE', 'CURRENT_TIMESTAMP']);
const RESERVED_CALLS = new Set(['IF', 'LEFT', 'RIGHT', 'GROUPING']);
const COMPARISONS = new Set(['=', '<', '>', '<=', '>=', '<>', '!=']);

/** Subqueries stand in expressions, and expressions in queries: whoever reads queries says how. */
export abstract class Expressions extends Cursor {
  abstract query(): Query;
  /** Whether the bracket that opens at a token holds a query. */
  abstract closesAsQuery(open: number): boolean;
  abstract orderBy(): OrderItem[];

  expr(): Expr {
    return this.nested(() => {
      let left = this.conjunction();
      for (let at = this.token.at; this.takes('OR'); at = this.token.at)
        left = { kind: 'binary', op: 'OR', left, right: this.conjunction(), at };
      return left;
    });
  }

  conjunction(): Expr {
    let left = this.negation();
    for (let at = this.token.at; this.takes('AND'); at = this.token.at)
      left = { kind: 'binary', op: 'AND', left, right: this.negation(), at };
    return left;
  }

  negation(): Expr {
    const at = this.token.at;
    return this.takes('NOT')
      ? { kind: 'unary', op: 'NOT', expr: this.nested(() => this.negation()), at }
      : this.comparison();
  }

  comparison(): Expr {
    const left = this.binary(0);
    const { key, at } = this.token;
    if (COMPARISONS.has(key)) {
      this.index += 1;
      const right = this.binary(0);
      if (COMPARISONS.has(this.token.key)) throw this.unexpected();
      return { kind: 'binary', op: key === '!=' ? '<>' : key, left, right, at };
    }
    if (this.takes('IS')) {
      const not = this.takes('NOT');
      if (this.takes('DISTINCT', 'FROM'))
        return { kind: 'distinct', not, left, right: this.binary(0), at };
      for (const what of ['NULL', 'TRUE', 'FALSE'] as const)
        if (this.takes(what)) return { kind: 'is', not, expr: left, what, at };
      throw this.unexpected('keyword NULL, TRUE, FALSE or DISTINCT FROM');
    }
    const not = this.sees('NOT') && ['BETWEEN', 'IN', 'LIKE'].includes(this.ahead(1).key);
    if (not) this.index += 1;
    if (this.takes('BETWEEN')) {
      const low = this.binary(0);
      this.expect('AND');
      return { kind: 'between', not, expr: left, low, high: this.binary(0), at };
    }
    if (this.takes('LIKE')) {
      if (['ANY', 'SOME', 'ALL'].includes(this.token.key))
        throw unsupported(`LIKE ${this.token.key}`, at);
      return { kind: 'like', not, expr: left, pattern: this.binary(0), at };
    }
    if (this.takes('IN')) {
      if (this.takes('UNNEST')) {
        this.expect('(');
        const unnest = this.expr();
        this.expect(')');
        return { kind: 'in', not, expr: left, unnest, at };
      }
      this.expect('(');
      if (this.seesQuery()) {
        const query = this.query();
        this.expect(')');
        return { kind: 'in', not, expr: left, query, at };
      }
      const list = this.list(() => this.expr());
      this.expect(')');
      return { kind: 'in', not, expr: left, list, at };
    }
    return left;
  }

  seesQuery(): boolean {
    let i = 0;
    while (this.ahead(i).key === '(') i += 1;
    return (
      ['SELECT', 'WITH'].includes(this.ahead(i).key) &&
      (i === 0 || this.closesAsQuery(this.index - 1))
    );
  }

  binary(level: number): Expr {
    const levels = [['|'], ['^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '/', '||']];
    const signs = levels[level];
    if (signs === undefined) return this.sign();
    let left = this.binary(level + 1);
    while (signs.includes(this.token.key)) {
      const { key, at } = this.token;
      this.index += 1;
      left = { kind: 'binary', op: key, left, right: this.binary(level + 1), at };
    }
    return left;
  }

  sign(): Expr {
    const { key, at } = this.token;
    if (key !== '-' && key !== '+' && key !== '~') return this.postfix();
    this.index += 1;
    const expr = this.nested(() => this.sign());
    // A literal with its sign is one literal: -9223372036854775808 is an INT64, its positive twin is not.
    if (
      key === '-' &&
      expr.kind === 'literal' &&
      (expr.type === 'INT64' || expr.type === 'FLOAT64')
    )
      return {
        ...expr,
        value: expr.value.startsWith('-') ? expr.value.slice(1) : `-${expr.value}`,
        at,
      };
    return { kind: 'unary', op: key, expr, at };
  }

  postfix(): Expr {
    let expr = this.primary();
    for (;;) {
      const at = this.token.at;
      if (this.sees('.') && this.ahead(1).key !== '*') {
        this.index += 1;
        // After a dot even a reserved word is a name.
        const token = this.token;
        if (token.kind !== 'word' && token.kind !== 'quoted') throw this.unexpected('identifier');
        this.index += 1;
        if (expr.kind === 'path') expr = { ...expr, names: [...expr.names, token.text] };
        else expr = { kind: 'field', expr, name: token.text, at: token.at };
      } else if (this.sees('(') && expr.kind === 'path' && this.token.at >= expr.at) {
        expr = this.call(expr.names.join('.').toUpperCase(), expr.at);
      } else if (this.takes('[')) {
        const mode = (['OFFSET', 'ORDINAL', 'SAFE_OFFSET', 'SAFE_ORDINAL'] as const).find((word) =>
          this.sees(word, '('),
        );
        if (mode === undefined) {
          expr = { kind: 'subscript', expr, index: this.expr(), mode: 'OFFSET', at };
        } else {
          this.index += 2;
          expr = { kind: 'subscript', expr, index: this.expr(), mode, at };
          this.expect(')');
        }
        this.expect(']');
      } else return expr;
    }
  }

  primary(): Expr {
    const { kind, key, text, at } = this.token;
    if (kind === 'number') {
      this.index += 1;
      if (/^0x/i.test(text))
        return { kind: 'literal', type: 'INT64', value: BigInt(text).toString(), at };
      return { kind: 'literal', type: /^\d+$/.test(text) ? 'INT64' : 'FLOAT64', value: text, at };
    }
    if (kind === 'string' || kind === 'bytes') {
      this.index += 1;
      if (this.token.kind === kind) throw this.unexpected();
      return { kind: 'literal', type: kind === 'string' ? 'STRING' : 'BYTES', value: text, at };
    }
    if (kind === 'param') {
      this.index += 1;
      return { kind: 'param', name: text.toLowerCase(), at };
    }
    if (this.takes('?')) return { kind: 'param', name: this.positional++, at };
    if (key === '(') return this.bracket(at);
    if (key === '[') return this.array(at);
    if (kind === 'quoted') {
      this.index += 1;
      return { kind: 'path', names: [text], at };
    }
    if (kind !== 'word') throw this.unexpected();
    if (this.ahead(1).kind === 'string' && ['DATE', 'TIMESTAMP', 'NUMERIC'].includes(key)) {
      this.index += 2;
      return { kind: 'literal', type: key as 'DATE', value: this.ahead(-1).text, at };
    }
    if (
      this.ahead(1).kind === 'string' &&
      ['DATETIME', 'TIME', 'BIGNUMERIC', 'JSON', 'DECIMAL', 'RANGE'].includes(key)
    )
      throw unsupported(`A ${key} literal`, at);
    switch (key) {
      case 'TRUE':
      case 'FALSE':
        this.index += 1;
        return { kind: 'literal', type: 'BOOL', value: key, at };
      case 'NULL':
        this.index += 1;
        return { kind: 'literal', type: 'NULL', value: 'NULL', at };
      case 'CASE':
        return this.caseExpr(at);
      case 'CAST':
        return this.cast(false, at);
      case 'EXTRACT':
        return this.extract(at);
      case 'INTERVAL': {
        this.index += 1;
        const amount = this.expr();
        const part = this.datePart();
        if (this.sees('TO')) throw unsupported('INTERVAL … TO …', at);
        return { kind: 'interval', amount, part, at };
      }
      case 'ARRAY':
        return this.array(at);
      case 'STRUCT':
        return this.struct(at);
      case 'EXISTS': {
        this.index += 1;
        this.expect('(');
        const query = this.query();
        this.expect(')');
        return { kind: 'subquery', how: 'exists', query, at };
      }
      default:
    }
    if (key === 'SAFE_CAST' && this.ahead(1).key === '(') return this.cast(true, at);
    if (BARE_CALLS.has(key) && this.ahead(1).key !== '(') {
      this.index += 1;
      return { kind: 'call', name: key, args: [], star: false, distinct: false, orderBy: [], at };
    }
    if (RESERVED_CALLS.has(key) && this.ahead(1).key === '(') {
      this.index += 1;
      return this.call(key, at);
    }
    if (RESERVED.has(key)) throw this.unexpected();
    this.index += 1;
    return { kind: 'path', names: [text], at };
  }

  bracket(at: number): Expr {
    this.expect('(');
    if (this.seesQuery()) {
      const query = this.query();
      this.expect(')');
      return { kind: 'subquery', how: 'scalar', query, at };
    }
    const first = this.expr();
    if (this.sees(',')) {
      const fields = [{ expr: first }];
      while (this.takes(',')) fields.push({ expr: this.expr() });
      this.expect(')');
      return { kind: 'struct', fields, at };
    }
    this.expect(')');
    return first;
  }

  array(at: number): Expr {
    let type: TypeName | undefined;
    if (this.takes('ARRAY')) {
      if (this.takes('(')) {
        const query = this.query();
        this.expect(')');
        return { kind: 'subquery', how: 'array', query, at };
      }
      if (this.takes('<')) {
        type = this.typeName();
        this.closeType();
      }
    }
    this.expect('[');
    const items = this.sees(']') ? [] : this.list(() => this.expr());
    this.expect(']');
    return { kind: 'array', ...(type && { type }), items, at };
  }

  struct(at: number): Expr {
    this.expect('STRUCT');
    const type = this.sees('<') ? this.structType(at) : undefined;
    this.expect('(');
    const fields = this.sees(')')
      ? []
      : this.list(() => {
          const expr = this.expr();
          return { expr, ...(this.takes('AS') ? { name: this.name() } : {}) };
        });
    this.expect(')');
    return { kind: 'struct', ...(type && { type }), fields, at };
  }

  caseExpr(at: number): Expr {
    this.expect('CASE');
    const operand = this.sees('WHEN') ? undefined : this.expr();
    const whens: { when: Expr; result: Expr }[] = [];
    while (this.takes('WHEN')) {
      const when = this.expr();
      this.expect('THEN');
      whens.push({ when, result: this.expr() });
    }
    if (whens.length === 0) throw this.unexpected('keyword WHEN');
    const otherwise = this.takes('ELSE') ? this.expr() : undefined;
    this.expect('END');
    return {
      kind: 'case',
      ...(operand && { operand }),
      whens,
      ...(otherwise && { otherwise }),
      at,
    };
  }

  cast(safe: boolean, at: number): Expr {
    this.index += 1;
    this.expect('(');
    const expr = this.expr();
    this.expect('AS');
    const type = this.typeName();
    if (this.sees('FORMAT')) throw unsupported('CAST … FORMAT', this.token.at);
    this.expect(')');
    return { kind: 'cast', safe, expr, type, at };
  }

  extract(at: number): Expr {
    this.expect('EXTRACT');
    this.expect('(');
    const part = this.datePart();
    this.expect('FROM');
    const expr = this.expr();
    const zone = this.takes('AT', 'TIME', 'ZONE') ? this.expr() : undefined;
    this.expect(')');
    return { kind: 'extract', part, expr, ...(zone && { zone }), at };
  }

  /** DAY, WEEK, WEEK(MONDAY) … as one upper-case word. */
  datePart(): string {
    if (this.token.kind !== 'word') throw this.unexpected('a date part');
    const part = this.token.key;
    this.index += 1;
    if (part !== 'WEEK' || !this.takes('(')) return part;
    const day = this.token.key;
    this.index += 1;
    this.expect(')');
    return `WEEK(${day})`;
  }

  typeName(): TypeName {
    const at = this.token.at;
    if (this.takes('ARRAY')) {
      this.expect('<');
      const element = this.typeName();
      this.closeType();
      return { base: 'ARRAY', element, at };
    }
    if (this.takes('STRUCT')) return this.structType(at);
    const base = this.name().toUpperCase();
    if (this.sees('(')) throw unsupported('A type with parameters', this.token.at);
    return { base, at };
  }

  structType(at: number): TypeName {
    this.expect('<');
    const fields = this.list(() => {
      const name = this.name();
      return { name, type: this.typeName() };
    });
    this.closeType();
    return { base: 'STRUCT', fields, at };
  }

  /** Closes one `<`: two at once arrive as the token `>>`. */
  closeType(): void {
    if (this.takes('>')) return;
    const token = this.token;
    if (token.key !== '>>') throw this.unexpected('">"');
    (this.tokens as Token[])[this.index] = { ...token, key: '>', text: '>', at: token.at + 1 };
  }

  call(name: string, at: number): Expr {
    this.expect('(');
    if (name === 'COUNT' && this.takes('*')) {
      this.expect(')');
      return this.over({
        kind: 'call',
        name,
        args: [],
        star: true,
        distinct: false,
        orderBy: [],
        at,
      });
    }
    const distinct = this.takes('DISTINCT');
    const args = this.sees(')') ? [] : this.list(() => this.argument());
    let nulls: 'IGNORE' | 'RESPECT' | undefined;
    for (const word of ['IGNORE', 'RESPECT'] as const) if (this.takes(word, 'NULLS')) nulls = word;
    let having: Call['having'];
    if (this.takes('HAVING')) {
      const which = this.takes('MAX') ? 'MAX' : 'MIN';
      if (which === 'MIN') this.expect('MIN');
      having = { which, expr: this.expr() };
    }
    const orderBy = this.orderBy();
    const limit = this.takes('LIMIT') ? this.expr() : undefined;
    this.expect(')');
    return this.over({
      kind: 'call',
      name,
      args,
      star: false,
      distinct,
      ...(nulls && { nulls }),
      ...(having && { having }),
      orderBy,
      ...(limit && { limit }),
      at,
    });
  }

  /** An argument: an expression; WEEK(MONDAY) and plain date parts arrive as a call or a path and are read as parts later. */
  argument(): Expr {
    if (this.sees('=>') || this.ahead(1).key === '=>')
      throw unsupported('A named argument', this.token.at);
    return this.expr();
  }

  over(call: Call): Expr {
    if (!this.takes('OVER')) return call;
    if (this.seesName()) {
      const at = this.token.at;
      return { ...call, over: { name: this.name(), partitionBy: [], orderBy: [], at } };
    }
    return { ...call, over: this.window() };
  }

  window(): WindowSpec {
    const at = this.token.at;
    if (this.seesName()) return { name: this.name(), partitionBy: [], orderBy: [], at };
    this.expect('(');
    const name = this.seesName() && !this.sees('ROWS') ? this.name() : undefined;
    const partitionBy = this.takes('PARTITION', 'BY') ? this.list(() => this.expr()) : [];
    const orderBy = this.orderBy();
    const unit = (['ROWS', 'RANGE'] as const).find((word) => this.takes(word));
    if (this.sees('GROUPS')) throw this.unexpected();
    let frame: WindowSpec['frame'];
    if (unit !== undefined) {
      if (this.takes('BETWEEN')) {
        const start = this.bound();
        this.expect('AND');
        frame = { unit, start, end: this.bound() };
      } else frame = { unit, start: this.bound(), end: { kind: 'current row' } };
    }
    this.expect(')');
    return {
      ...(name !== undefined && { name }),
      partitionBy,
      orderBy,
      ...(frame && { frame }),
      at,
    };
  }

  bound(): FrameBound {
    if (this.takes('UNBOUNDED', 'PRECEDING')) return { kind: 'unbounded preceding' };
    if (this.takes('UNBOUNDED', 'FOLLOWING')) return { kind: 'unbounded following' };
    if (this.takes('CURRENT', 'ROW')) return { kind: 'current row' };
    const offset = this.expr();
    if (this.takes('PRECEDING')) return { kind: 'preceding', offset };
    this.expect('FOLLOWING');
    return { kind: 'following', offset };
  }

  row(): Expr[] {
    this.expect('(');
    const values = this.list(() => this.expr());
    this.expect(')');
    return values;
  }
}
