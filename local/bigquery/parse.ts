/**
 * GoogleSQL to a tree of our own (ast.ts). A parser of our own and not a general one, because a general one answers the
 * wrong question: it accepts what BigQuery refuses (FILTER, a mistyped SELECT read as a column), drops positions, and
 * cannot read ASSERT or a MERGE into a column named `sequence`. Here the grammar is the closed list of forms: what has
 * no rule below is a syntax error or is refused by name, with its position, and never reaches DuckDB.
 */
import type {
  Assignment,
  Body,
  Call,
  Dml,
  Expr,
  FrameBound,
  From,
  GroupBy,
  OrderItem,
  Query,
  Select,
  SelectItem,
  Statement,
  TypeName,
  WindowSpec,
} from './ast.ts';
import { lex, type Token } from './lex.ts';
import { QueryFault, unsupported } from './refusal.ts';

const RESERVED = new Set(
  (
    'ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT ' +
    'DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM ' +
    'FULL GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT ' +
    'LOOKUP MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE ' +
    'RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST ' +
    'USING WHEN WHERE WINDOW WITH WITHIN'
  ).split(' '),
);
/** Functions without parentheses, and functions whose name is a reserved word. */
const BARE_CALLS = new Set(['CURRENT_DATE', 'CURRENT_TIMESTAMP']);
const RESERVED_CALLS = new Set(['IF', 'LEFT', 'RIGHT', 'GROUPING']);
const COMPARISONS = new Set(['=', '<', '>', '<=', '>=', '<>', '!=']);
const STATEMENTS_REFUSED = new Set(
  'CREATE DROP ALTER TRUNCATE DECLARE SET CALL EXECUTE EXPORT LOAD GRANT REVOKE IF LOOP WHILE REPEAT FOR RAISE ROLLBACK FROM'.split(
    ' ',
  ),
);

/** One query or one DML statement, or a script: the statements in order. Throws a QueryFault. */
export function parse(source: string): readonly Statement[] {
  return new Parser(source).script();
}

class Parser {
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

  // Statements

  script(): readonly Statement[] {
    const statements: Statement[] = [];
    while (this.token.kind !== 'end') {
      if (this.takes(';')) continue;
      statements.push(this.statement());
      if (!this.ends() && !this.sees(';')) throw this.unexpected('end of input');
    }
    if (statements.length === 0)
      throw new QueryFault('Syntax error: Unexpected end of statement', 0);
    return statements;
  }

  statement(): Statement {
    const { key, at } = this.token;
    if (key === 'SELECT' || key === 'WITH' || key === '(')
      return { kind: 'query', query: this.query(), at };
    if (this.takes('INSERT')) return this.insert(at);
    if (this.takes('DELETE')) return this.deletion(at);
    if (this.takes('UPDATE')) return this.update(at);
    if (this.takes('MERGE')) return this.merge(at);
    if (this.takes('ASSERT')) {
      const expr = this.expr();
      const text = this.source.slice(expr.at, (this.tokens[this.index - 1] as Token).end);
      if (!this.takes('AS')) return { kind: 'assert', expr, text, at };
      if (this.token.kind !== 'string') throw this.unexpected('string literal');
      this.index += 1;
      return {
        kind: 'assert',
        expr,
        text,
        message: (this.tokens[this.index - 1] as Token).text,
        at,
      };
    }
    if (this.takes('BEGIN')) {
      if (!this.takes('TRANSACTION') && !this.sees(';'))
        throw unsupported('A BEGIN … END block', at);
      return { kind: 'begin', at };
    }
    if (this.takes('COMMIT')) {
      this.takes('TRANSACTION');
      return { kind: 'commit', at };
    }
    if (STATEMENTS_REFUSED.has(key)) throw unsupported(`A ${key} statement`, at);
    throw this.unexpected();
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

  row(): Expr[] {
    this.expect('(');
    const values = this.list(() => this.expr());
    this.expect(')');
    return values;
  }

  insert(at: number): Dml {
    this.takes('INTO');
    const table = this.path();
    const columns =
      this.sees('(') && !this.sees('(', 'SELECT') && !this.sees('(', 'WITH') ? this.columns() : [];
    if (this.takes('VALUES'))
      return { kind: 'insert', table, columns, rows: this.list(() => this.row()), at };
    return { kind: 'insert', table, columns, query: this.query(), at };
  }

  deletion(at: number): Dml {
    this.takes('FROM');
    const table = this.path();
    const alias = this.alias();
    if (!this.takes('WHERE')) throw new QueryFault('DELETE must have a WHERE clause', at);
    return { kind: 'delete', table, ...alias, where: this.expr(), at };
  }

  assignments(): Assignment[] {
    this.expect('SET');
    return this.list(() => {
      const at = this.token.at;
      const column = this.name();
      if (this.takes('.')) {
        // `SET t.column`: the alias of the target is allowed before the column.
        const inner = this.name();
        this.expect('=');
        return { column: inner, value: this.expr(), at };
      }
      this.expect('=');
      return { column, value: this.expr(), at };
    });
  }

  update(at: number): Dml {
    const table = this.path();
    const alias = this.alias();
    const set = this.assignments();
    if (this.sees('FROM')) throw unsupported('UPDATE … FROM', this.token.at);
    if (!this.takes('WHERE')) throw new QueryFault('UPDATE must have a WHERE clause', at);
    return { kind: 'update', table, ...alias, set, where: this.expr(), at };
  }

  merge(at: number): Dml {
    this.takes('INTO');
    const table = this.path();
    const alias = this.alias();
    this.expect('USING');
    const source = this.primaryFrom();
    this.expect('ON');
    const on = this.expr();
    let matched: Extract<Dml, { kind: 'merge' }>['matched'];
    let notMatched: Extract<Dml, { kind: 'merge' }>['notMatched'];
    while (this.sees('WHEN')) {
      const when = this.expect('WHEN').at;
      const not = this.takes('NOT');
      this.expect('MATCHED');
      if (this.sees('BY')) throw unsupported('WHEN NOT MATCHED BY', when);
      const and = this.takes('AND') ? { and: this.expr() } : {};
      this.expect('THEN');
      if (this.sees('DELETE') || (not ? notMatched : matched) !== undefined)
        throw unsupported('A MERGE of more than one UPDATE and one INSERT', when);
      if (!not) {
        this.expect('UPDATE');
        matched = { ...and, set: this.assignments() };
      } else {
        this.expect('INSERT');
        const columns = this.columns();
        this.expect('VALUES');
        notMatched = { ...and, columns, values: this.row() };
      }
    }
    if (matched === undefined && notMatched === undefined) throw this.unexpected('keyword WHEN');
    return {
      kind: 'merge',
      table,
      ...alias,
      source,
      on,
      ...(matched && { matched }),
      ...(notMatched && { notMatched }),
      at,
    };
  }

  // Queries

  query(): Query {
    return this.nested(() => {
      const at = this.token.at;
      const ctes: { name: string; query: Query; at: number }[] = [];
      let recursive = false;
      if (this.takes('WITH')) {
        recursive = this.takes('RECURSIVE');
        ctes.push(
          ...this.list(() => {
            const start = this.token.at;
            const name = this.name();
            this.expect('AS');
            this.expect('(');
            const query = this.query();
            this.expect(')');
            return { name, query, at: start };
          }),
        );
      }
      const body = this.setOperations();
      const orderBy = this.orderBy();
      let limit: Expr | undefined;
      let offset: Expr | undefined;
      if (this.takes('LIMIT')) {
        limit = this.expr();
        if (this.takes('OFFSET')) offset = this.expr();
      }
      if (this.sees('|>')) throw unsupported('Pipe syntax', this.token.at);
      return {
        with: ctes,
        recursive,
        body,
        orderBy,
        ...(limit && { limit }),
        ...(offset && { offset }),
        at,
      };
    });
  }

  setOperations(): Body {
    let left = this.queryPrimary();
    let before: string | undefined;
    for (;;) {
      const at = this.token.at;
      const op = (['UNION', 'INTERSECT', 'EXCEPT'] as const).find((word) => this.sees(word));
      if (op === undefined) return left;
      this.index += 1;
      const all = this.takes('ALL');
      if (!all && !this.takes('DISTINCT')) throw this.unexpected('keyword ALL or keyword DISTINCT');
      if (op !== 'UNION' && all) throw unsupported(`${op} ALL`, at);
      // BigQuery gives the three no precedence among each other and demands brackets.
      if (before !== undefined && before !== `${op} ${all}`)
        throw new QueryFault(
          'Syntax error: Different set operations cannot be used in the same query without using parentheses for grouping',
          at,
        );
      before = `${op} ${all}`;
      left = { kind: 'set', op, all, left, right: this.queryPrimary(), at };
    }
  }

  queryPrimary(): Body {
    const at = this.token.at;
    if (this.takes('(')) {
      const query = this.query();
      this.expect(')');
      return { kind: 'query', query, at };
    }
    return this.select();
  }

  select(): Select {
    const at = this.expect('SELECT').at;
    const distinct = this.takes('DISTINCT');
    if (!distinct) this.takes('ALL');
    let asStruct = false;
    if (this.sees('AS')) {
      if (!this.sees('AS', 'STRUCT')) throw unsupported('SELECT AS VALUE', at);
      this.index += 2;
      asStruct = true;
    }
    const items = [this.selectItem()];
    while (this.takes(',')) {
      // A trailing comma before FROM is allowed in BigQuery.
      if (this.sees('FROM') || this.token.kind === 'end' || this.sees(')')) break;
      items.push(this.selectItem());
    }
    const from = this.takes('FROM') ? this.from() : undefined;
    const where = this.takes('WHERE') ? this.expr() : undefined;
    const groupBy = this.takes('GROUP', 'BY') ? this.groupBy() : undefined;
    const having = this.takes('HAVING') ? this.expr() : undefined;
    const qualify = this.takes('QUALIFY') ? this.expr() : undefined;
    const windows = this.takes('WINDOW')
      ? this.list(() => {
          const name = this.name();
          this.expect('AS');
          return { name, spec: this.window() };
        })
      : [];
    return {
      kind: 'select',
      distinct,
      asStruct,
      items,
      ...(from && { from }),
      ...(where && { where }),
      ...(groupBy && { groupBy }),
      ...(having && { having }),
      ...(qualify && { qualify }),
      windows,
      at,
    };
  }

  selectItem(): SelectItem {
    const at = this.token.at;
    if (this.takes('*')) return this.star(at);
    const expr = this.expr();
    if (this.takes('.', '*')) return this.star(at, expr);
    return { kind: 'expr', expr, ...this.alias(), at };
  }

  star(at: number, of?: Expr): SelectItem {
    const except = this.takes('EXCEPT') ? this.columns() : [];
    const replace: { name: string; expr: Expr }[] = [];
    if (this.takes('REPLACE')) {
      this.expect('(');
      replace.push(
        ...this.list(() => {
          const expr = this.expr();
          this.expect('AS');
          return { name: this.name(), expr };
        }),
      );
      this.expect(')');
    }
    return { kind: 'star', ...(of && { of }), except, replace, at };
  }

  alias(): { readonly alias?: string } {
    if (this.takes('AS')) return { alias: this.name() };
    if (this.seesName() && !(this.token.kind === 'word' && ['OFFSET'].includes(this.token.key)))
      return { alias: this.name() };
    return {};
  }

  groupBy(): GroupBy {
    const { key, at } = this.token;
    if (this.takes('ALL')) return { kind: 'all' };
    if (this.takes('ROLLUP')) return { kind: 'rollup', exprs: this.row() };
    if (key === 'CUBE' || key === 'GROUPING') throw unsupported(`GROUP BY ${key}`, at);
    return { kind: 'list', exprs: this.list(() => this.expr()) };
  }

  orderBy(): OrderItem[] {
    if (!this.takes('ORDER', 'BY')) return [];
    return this.list(() => {
      const expr = this.expr();
      if (this.sees('COLLATE')) throw unsupported('COLLATE', this.token.at);
      const descending = this.takes('DESC');
      if (!descending) this.takes('ASC');
      if (!this.takes('NULLS')) return { expr, descending };
      const first = this.takes('FIRST');
      if (!first) this.expect('LAST');
      return { expr, descending, nullsFirst: first };
    });
  }

  from(): From {
    let left = this.primaryFrom();
    for (;;) {
      const at = this.token.at;
      if (this.takes(',')) {
        left = { kind: 'join', type: 'CROSS', left, right: this.primaryFrom(), at };
        continue;
      }
      const type = this.joinType();
      if (type === undefined) return left;
      const right = this.primaryFrom();
      if (type === 'CROSS') {
        left = { kind: 'join', type, left, right, at };
      } else if (this.takes('ON')) {
        left = { kind: 'join', type, left, right, on: this.expr(), at };
      } else if (this.takes('USING')) {
        left = { kind: 'join', type, left, right, using: this.columns(), at };
      } else if (right.kind === 'unnest' && (type === 'INNER' || type === 'LEFT')) {
        left = { kind: 'join', type: type === 'INNER' ? 'CROSS' : type, left, right, at };
      } else throw this.unexpected('keyword ON or keyword USING');
    }
  }

  joinType(): 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'CROSS' | undefined {
    if (this.sees('NATURAL')) throw this.unexpected();
    if (this.takes('JOIN') || this.takes('INNER', 'JOIN')) return 'INNER';
    if (this.takes('CROSS', 'JOIN')) return 'CROSS';
    for (const side of ['LEFT', 'RIGHT', 'FULL'] as const)
      if (this.takes(side, 'JOIN') || this.takes(side, 'OUTER', 'JOIN')) return side;
    return undefined;
  }

  primaryFrom(): From {
    return this.nested(() => {
      const at = this.token.at;
      if (this.takes('UNNEST')) {
        this.expect('(');
        const expr = this.expr();
        this.expect(')');
        const alias = this.sees('WITH') ? {} : this.alias();
        if (!this.takes('WITH', 'OFFSET')) return { kind: 'unnest', expr, ...alias, at };
        return { kind: 'unnest', expr, ...alias, offset: this.alias().alias ?? 'offset', at };
      }
      if (this.sees('(')) {
        const start = this.index;
        let inner = 0;
        while (this.ahead(inner).key === '(') inner += 1;
        this.index += 1;
        if (
          ['SELECT', 'WITH'].includes(this.tokens[start + inner]?.key ?? '') &&
          this.closesAsQuery(start)
        ) {
          const query = this.query();
          this.expect(')');
          return { kind: 'derived', query, ...this.tableAlias(), at };
        }
        const from = this.from();
        this.expect(')');
        return from;
      }
      const path = this.path();
      if (this.sees('(')) throw unsupported('A table function', at);
      return { kind: 'table', path, ...this.tableAlias(), at };
    });
  }

  /** `((SELECT …) UNION ALL …)` is a query, `((SELECT …) AS a JOIN …)` is a join: what follows the inner bracket tells. */
  closesAsQuery(open: number): boolean {
    if (this.tokens[open + 1]?.key !== '(') return true;
    let depth = 0;
    for (let i = open + 1; i < this.tokens.length; i += 1) {
      const key = this.tokens[i]?.key;
      if (key === '(') depth += 1;
      if (key === ')') depth -= 1;
      if (depth === 0)
        return [')', 'UNION', 'INTERSECT', 'EXCEPT', 'ORDER', 'LIMIT'].includes(
          this.tokens[i + 1]?.key ?? '',
        );
    }
    return true;
  }

  tableAlias(): { readonly alias?: string } {
    const { key, at } = this.token;
    if ((key === 'PIVOT' || key === 'UNPIVOT') && this.ahead(1).key === '(')
      throw unsupported(key, at);
    const alias = this.alias();
    const after = this.token;
    if ((after.key === 'PIVOT' || after.key === 'UNPIVOT') && this.ahead(1).key === '(')
      throw unsupported(after.key, after.at);
    if (after.key === 'TABLESAMPLE') throw unsupported('TABLESAMPLE', after.at);
    if (after.key === 'FOR') throw unsupported('FOR SYSTEM_TIME AS OF', after.at);
    if (this.sees('WITH', 'OFFSET'))
      throw unsupported('WITH OFFSET on a name that is not UNNEST(…)', after.at);
    return alias;
  }

  // Expressions, loosest binding first

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
}
