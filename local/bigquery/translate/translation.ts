/** What the parts of one statement share while it is translated. */
import type { Query } from '../parse/ast.ts';
import type { Type } from '../type.ts';
import type { Binder, TableUse } from './bound.ts';

/** A table as the catalog knows it. `sql` is what FROM reads in DuckDB. */
export interface TableInfo {
  readonly dataset: string;
  readonly table: string;
  readonly sql: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: Type;
    readonly required: boolean;
  }[];
  readonly partition: TableUse['partition'];
  readonly requireFilter: boolean;
}

/** A query of a WITH clause. */
export interface Cte {
  readonly name: string;
  readonly query: Query;
  readonly before: readonly Cte[];
  readonly sqlName: string;
}

/** One statement on its way to DuckDB's SQL: names, tables read, and a way back to queries within it. */
export interface Translation extends Binder {
  /** Finds a table by its path ([project,] dataset, table; a default dataset applied); throws a Refusal of reason notFound. */
  table(path: readonly string[]): TableInfo;
  /** Every place that reads a table. */
  readonly uses: TableUse[];
  /** The WITH queries that may be named here. */
  ctes: readonly Cte[];
  /** A name that the statement does not have yet. */
  fresh(prefix: string): string;
}
