/**
 * GoogleSQL to a tree of our own (ast.ts). A parser of our own and not a general one, because a general one answers the
 * wrong question: it accepts what BigQuery refuses (FILTER, a mistyped SELECT read as a column), drops positions, and
 * cannot read ASSERT or a MERGE into a column named `sequence`. Here the grammar is the closed list of forms: what has
 * no rule below is a syntax error or is refused by name, with its position, and never reaches DuckDB.
 */

import { QueryFault, unsupported } from '../refusal.ts';
import type { Assignment, Dml, Statement } from './ast.ts';
import type { Token } from './lex.ts';
import { Queries } from './parse_query.ts';

const STATEMENTS_REFUSED = new Set(
  'CREATE DROP ALTER TRUNCATE DECLARE SET CALL EXECUTE EXPORT LOAD GRANT REVOKE IF LOOP WHILE REPEAT FOR RAISE ROLLBACK FROM'.split(
    ' ',
  ),
);

/** One query or one DML statement, or a script: the statements in order. Throws a QueryFault. */
export function parse(source: string): readonly Statement[] {
  return new Statements(source).script();
}

class Statements extends Queries {
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
}
