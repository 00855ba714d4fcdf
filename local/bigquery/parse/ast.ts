/** The part of GoogleSQL that the local warehouse understands, as a tree. `at` is an offset in the source. */

type DatePart = string;

export interface TypeName {
  readonly base: string;
  readonly element?: TypeName;
  readonly fields?: readonly { readonly name: string; readonly type: TypeName }[];
  readonly at: number;
}

export interface OrderItem {
  readonly expr: Expr;
  readonly descending: boolean;
  readonly nullsFirst?: boolean;
}

export type FrameBound =
  | { readonly kind: 'unbounded preceding' | 'unbounded following' | 'current row' }
  | { readonly kind: 'preceding' | 'following'; readonly offset: Expr };

export interface WindowSpec {
  readonly name?: string;
  readonly partitionBy: readonly Expr[];
  readonly orderBy: readonly OrderItem[];
  readonly frame?: {
    readonly unit: 'ROWS' | 'RANGE';
    readonly start: FrameBound;
    readonly end: FrameBound;
  };
  readonly at: number;
}

export interface Call {
  readonly kind: 'call';
  /** Upper case; a dotted name stays whole (`SAFE.SUBSTR`, `NET.HOST`). */
  readonly name: string;
  readonly args: readonly Expr[];
  readonly star: boolean;
  readonly distinct: boolean;
  readonly nulls?: 'IGNORE' | 'RESPECT';
  readonly having?: { readonly which: 'MAX' | 'MIN'; readonly expr: Expr };
  readonly orderBy: readonly OrderItem[];
  readonly limit?: Expr;
  readonly over?: WindowSpec;
  readonly at: number;
}

export type LiteralType =
  | 'INT64'
  | 'FLOAT64'
  | 'NUMERIC'
  | 'STRING'
  | 'BYTES'
  | 'BOOL'
  | 'NULL'
  | 'DATE'
  | 'TIMESTAMP';

export type Expr =
  | {
      readonly kind: 'literal';
      readonly type: LiteralType;
      readonly value: string;
      readonly at: number;
    }
  | { readonly kind: 'path'; readonly names: readonly string[]; readonly at: number }
  | { readonly kind: 'param'; readonly name: string | number; readonly at: number }
  | Call
  | {
      readonly kind: 'unary';
      readonly op: '-' | '+' | '~' | 'NOT';
      readonly expr: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'binary';
      readonly op: string;
      readonly left: Expr;
      readonly right: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'between';
      readonly not: boolean;
      readonly expr: Expr;
      readonly low: Expr;
      readonly high: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'in';
      readonly not: boolean;
      readonly expr: Expr;
      readonly list?: readonly Expr[];
      readonly query?: Query;
      readonly unnest?: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'like';
      readonly not: boolean;
      readonly expr: Expr;
      readonly pattern: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'is';
      readonly not: boolean;
      readonly expr: Expr;
      readonly what: 'NULL' | 'TRUE' | 'FALSE';
      readonly at: number;
    }
  | {
      readonly kind: 'distinct';
      readonly not: boolean;
      readonly left: Expr;
      readonly right: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'case';
      readonly operand?: Expr;
      readonly whens: readonly { readonly when: Expr; readonly result: Expr }[];
      readonly otherwise?: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'cast';
      readonly safe: boolean;
      readonly expr: Expr;
      readonly type: TypeName;
      readonly at: number;
    }
  | {
      readonly kind: 'extract';
      readonly part: DatePart;
      readonly expr: Expr;
      readonly zone?: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'interval';
      readonly amount: Expr;
      readonly part: DatePart;
      readonly at: number;
    }
  /** A date part as an argument: DAY, WEEK(MONDAY). */
  | {
      readonly kind: 'array';
      readonly type?: TypeName;
      readonly items: readonly Expr[];
      readonly at: number;
    }
  | {
      readonly kind: 'struct';
      readonly type?: TypeName;
      readonly fields: readonly { readonly name?: string; readonly expr: Expr }[];
      readonly at: number;
    }
  | {
      readonly kind: 'subscript';
      readonly expr: Expr;
      readonly index: Expr;
      readonly mode: 'OFFSET' | 'ORDINAL' | 'SAFE_OFFSET' | 'SAFE_ORDINAL';
      readonly at: number;
    }
  | { readonly kind: 'field'; readonly expr: Expr; readonly name: string; readonly at: number }
  | {
      readonly kind: 'subquery';
      readonly how: 'scalar' | 'array' | 'exists';
      readonly query: Query;
      readonly at: number;
    };

export interface Query {
  readonly with: readonly { readonly name: string; readonly query: Query; readonly at: number }[];
  readonly recursive: boolean;
  readonly body: Body;
  readonly orderBy: readonly OrderItem[];
  readonly limit?: Expr;
  readonly offset?: Expr;
  readonly at: number;
}

export type Body =
  | Select
  | {
      readonly kind: 'set';
      readonly op: 'UNION' | 'INTERSECT' | 'EXCEPT';
      readonly all: boolean;
      readonly left: Body;
      readonly right: Body;
      readonly at: number;
    }
  | { readonly kind: 'query'; readonly query: Query; readonly at: number };

export type SelectItem =
  | { readonly kind: 'expr'; readonly expr: Expr; readonly alias?: string; readonly at: number }
  | {
      readonly kind: 'star';
      readonly of?: Expr;
      readonly except: readonly string[];
      readonly replace: readonly { readonly name: string; readonly expr: Expr }[];
      readonly at: number;
    };

export interface Select {
  readonly kind: 'select';
  readonly distinct: boolean;
  readonly asStruct: boolean;
  readonly items: readonly SelectItem[];
  readonly from?: From;
  readonly where?: Expr;
  readonly groupBy?: GroupBy;
  readonly having?: Expr;
  readonly qualify?: Expr;
  readonly windows: readonly { readonly name: string; readonly spec: WindowSpec }[];
  readonly at: number;
}

export type GroupBy =
  | { readonly kind: 'all' }
  | { readonly kind: 'list'; readonly exprs: readonly Expr[] }
  | { readonly kind: 'rollup'; readonly exprs: readonly Expr[] };

export type From =
  | {
      readonly kind: 'table';
      readonly path: readonly string[];
      readonly alias?: string;
      readonly at: number;
    }
  | {
      readonly kind: 'derived';
      readonly query: Query;
      readonly alias?: string;
      readonly at: number;
    }
  | {
      readonly kind: 'unnest';
      readonly expr: Expr;
      readonly alias?: string;
      readonly offset?: string;
      readonly at: number;
    }
  | {
      readonly kind: 'join';
      readonly type: 'INNER' | 'LEFT' | 'RIGHT' | 'FULL' | 'CROSS';
      readonly left: From;
      readonly right: From;
      readonly on?: Expr;
      readonly using?: readonly string[];
      readonly at: number;
    };

export type Statement =
  | { readonly kind: 'query'; readonly query: Query; readonly at: number }
  | Dml
  | {
      readonly kind: 'assert';
      readonly expr: Expr;
      readonly message?: string;
      readonly text: string;
      readonly at: number;
    }
  | { readonly kind: 'begin' | 'commit'; readonly at: number };

export interface Assignment {
  readonly column: string;
  readonly value: Expr;
  readonly at: number;
}

export type Dml =
  | {
      readonly kind: 'insert';
      readonly table: readonly string[];
      readonly columns: readonly string[];
      readonly rows?: readonly (readonly Expr[])[];
      readonly query?: Query;
      readonly at: number;
    }
  | {
      readonly kind: 'delete';
      readonly table: readonly string[];
      readonly alias?: string;
      readonly where: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'update';
      readonly table: readonly string[];
      readonly alias?: string;
      readonly set: readonly Assignment[];
      readonly where: Expr;
      readonly at: number;
    }
  | {
      readonly kind: 'merge';
      readonly table: readonly string[];
      readonly alias?: string;
      readonly source: From;
      readonly on: Expr;
      readonly matched?: { readonly and?: Expr; readonly set: readonly Assignment[] };
      readonly notMatched?: {
        readonly and?: Expr;
        readonly columns: readonly string[];
        readonly values: readonly Expr[];
      };
      readonly at: number;
    };
