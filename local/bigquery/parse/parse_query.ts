/** Queries of GoogleSQL: WITH, SELECT, set operations, FROM and its joins. */

import { QueryFault, unsupported } from '../refusal.ts';
import type { Body, Expr, From, GroupBy, OrderItem, Query, Select, SelectItem } from './ast.ts';
import { Expressions } from './parse_expression.ts';

export class Queries extends Expressions {
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
}
