/**
 * Rows in memory under the same State: staging loads with job ids, the fenced transaction, counts. For deterministic
 * simulations, so nothing here waits for a file, a socket or a timer. Conditions are computed by a small evaluator of the
 * tree that the load transaction and its fence need; whatever else is asked is refused by name, never guessed.
 */
import type { Warehouse } from '../../functions/world.ts';
import type { Dml, Expr, Query, Select } from './parse/ast.ts';
import { parse } from './parse/parse.ts';
import { QueryFault, Refusal, refusalOf, unsupported } from './refusal.ts';
import { State } from './state.ts';
import {
  type Catalog,
  type Entries,
  type Kind,
  type QueryContext,
  type Staging,
  type Store,
  type Table,
  type Transaction,
  tableKey,
} from './store.ts';
import type { Field } from './type.ts';

export type Value = null | string | number | boolean | readonly Value[];
export type MemoryRow = Readonly<Record<string, Value>>;

export interface MemoryOptions {
  readonly projectId?: string;
  readonly location?: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The rows of an object, undefined if there is none: what Parquet and JSON are to the real one. */
  readonly readRows: (
    uri: string,
  ) => readonly MemoryRow[] | undefined | Promise<readonly MemoryRow[] | undefined>;
}

export interface MemoryBigquery {
  readonly state: State;
  /** Jobs run to their end before a call answers. */
  readonly warehouse: Warehouse;
  /** A table's committed rows; undefined if there is no such table. */
  rows(dataset: string, table: string): readonly MemoryRow[] | undefined;
}

export function memoryBigquery(options: MemoryOptions): MemoryBigquery {
  const { projectId = 'local-project', location = 'EU' } = options;
  const store = new MemoryStore(options.readRows);
  const state = new State({
    store,
    now: options.now,
    projectId,
    resolve: async (uri) => ((await options.readRows(uri)) === undefined ? [] : [uri]),
    readText: async (path) => {
      throw new Refusal('notImplemented', `A list of files (${path}) is not supported in memory`);
    },
  });
  const context = { parameters: [], defaultDataset: undefined };
  const start = async (
    jobId: string,
    configuration: Parameters<State['accept']>[2],
  ): Promise<'started' | 'exists'> => {
    try {
      await state.run(await state.accept(jobId, location, configuration), context);
      return 'started';
    } catch (error) {
      if (error instanceof Refusal && error.reason === 'duplicate') return 'exists';
      throw error;
    }
  };
  const warehouse: Warehouse = {
    load: ({ jobId, dataset, table, uris, format, schema }) =>
      start(jobId, {
        load: {
          destinationTable: { projectId, datasetId: dataset, tableId: table },
          sourceUris: uris,
          sourceFormat: format,
          schema: { fields: schema },
          writeDisposition: 'WRITE_TRUNCATE',
          parquetOptions: { enableListInference: true },
        },
      }),
    script: ({ jobId, sql }) => start(jobId, { query: { query: sql } }),
    job: async (jobId) => {
      const job = store.get('job', `${location.toLowerCase()}.${jobId}`);
      if (job === undefined) return { state: 'missing' };
      if (job.state !== 'DONE') return { state: 'running' };
      if (job.error !== undefined)
        return { state: 'failed', reason: job.error.reason, message: job.error.message };
      const load = job.statistics['load'] as { outputRows: string } | undefined;
      return { state: 'done', outputRows: load === undefined ? null : Number(load.outputRows) };
    },
    rows: async (sql, params = {}) => {
      const statement = parse(sql)[0];
      if (statement?.kind !== 'query')
        throw new Refusal('invalidQuery', 'Only a SELECT is supported here');
      try {
        return evaluateQuery(statement.query, {
          catalog: store,
          read: (table) => store.rowsOf(table),
          params,
        });
      } catch (error) {
        throw refusalOf(error, sql);
      }
    },
    dropTable: async (dataset, table) => {
      if (store.get('table', tableKey(dataset, table)) !== undefined)
        await state.datasets.removeTable(dataset, table);
    },
  };
  return {
    state,
    warehouse,
    rows: (dataset, id) => {
      const table = store.get('table', tableKey(dataset, id));
      return table && store.rowsOf(table);
    },
  };
}

type Rows = Map<string, readonly MemoryRow[]>;

class MemoryStore implements Store {
  readonly readRows: MemoryOptions['readRows'];
  entries = new Map<string, { readonly kind: Kind; readonly entry: unknown }>();
  rows: Rows = new Map();
  tail: Promise<unknown> = Promise.resolve();

  constructor(readRows: MemoryOptions['readRows']) {
    this.readRows = readRows;
  }

  get<K extends Kind>(kind: K, key: string): Entries[K] | undefined {
    return this.entries.get(`${kind} ${key}`)?.entry as Entries[K] | undefined;
  }

  all<K extends Kind>(kind: K): readonly Entries[K][] {
    return [...this.entries.values()]
      .filter((held) => held.kind === kind)
      .map(({ entry }) => entry as Entries[K]);
  }

  rowsOf(table: Table): readonly MemoryRow[] {
    return this.rows.get(table.rows) ?? [];
  }

  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const turn = this.tail.then(async () => {
      // Rows are never changed in place, so a copy of the maps is the whole transaction.
      const transaction = new MemoryTransaction(this.readRows);
      transaction.entries = new Map(this.entries);
      transaction.rows = new Map(this.rows);
      const result = await work(transaction);
      this.entries = transaction.entries;
      this.rows = transaction.rows;
      return result;
    });
    this.tail = turn.catch(() => undefined);
    return turn;
  }
}

class MemoryTransaction extends MemoryStore implements Transaction {
  put<K extends Kind>(kind: K, key: string, entry: Entries[K]): void {
    this.entries.set(`${kind} ${key}`, { kind, entry });
  }

  remove(kind: Kind, key: string): void {
    this.entries.delete(`${kind} ${key}`);
  }

  async create(table: Table): Promise<void> {
    this.rows.set(table.rows, []);
  }

  async drop(table: Table): Promise<void> {
    this.rows.delete(table.rows);
  }

  async clear(table: Table): Promise<void> {
    this.rows.set(table.rows, []);
  }

  async count(table: Table): Promise<number> {
    return this.rowsOf(table).length;
  }

  async describe(): Promise<readonly Field[]> {
    throw new Refusal('invalid', 'No schema specified on job or table.');
  }

  async append(table: Table, staging: Staging): Promise<number> {
    const names = new Set(table.fields.map(({ name }) => name));
    const added: MemoryRow[] = [];
    for (const { uri } of staging.files) {
      for (const row of (await this.readRows(uri)) ?? []) {
        const odd = Object.keys(row).find((name) => !names.has(name));
        if (odd !== undefined && !staging.ignoreUnknownValues)
          throw new Refusal(
            'invalid',
            `Error while reading data, error message: No such field: ${odd}`,
            uri,
          );
        for (const { name, mode } of table.fields)
          if (mode === 'REQUIRED' && (row[name] ?? null) === null)
            throw new Refusal('invalid', `Required field ${name} cannot be null`, uri);
        added.push(
          Object.fromEntries(
            table.fields.map(({ name, mode }) => [
              name,
              row[name] ?? (mode === 'REPEATED' ? [] : null),
            ]),
          ),
        );
      }
    }
    this.rows.set(table.rows, [...this.rowsOf(table), ...added]);
    return added.length;
  }

  async execute(change: Dml, context: QueryContext): Promise<number> {
    const world = this.world(context);
    const table = tableAt(change.table, this, change.at);
    const rows = this.rowsOf(table);
    const column = (name: string): string => {
      const field = table.fields.find(
        (candidate) => candidate.name.toLowerCase() === name.toLowerCase(),
      );
      if (field === undefined)
        throw new QueryFault(
          `Column ${name} is not present in table ${table.dataset}.${table.id}`,
          change.at,
        );
      return field.name;
    };
    switch (change.kind) {
      case 'delete': {
        const kept = rows.filter((row) => evaluate(change.where, row, world) !== true);
        this.rows.set(table.rows, kept);
        return rows.length - kept.length;
      }
      case 'update': {
        let changed = 0;
        const updated = rows.map((row) => {
          if (evaluate(change.where, row, world) !== true) return row;
          changed += 1;
          return {
            ...row,
            ...Object.fromEntries(
              change.set.map(({ column: name, value }) => [
                column(name),
                evaluate(value, row, world),
              ]),
            ),
          };
        });
        this.rows.set(table.rows, updated);
        return changed;
      }
      case 'insert': {
        const names =
          change.columns.length === 0
            ? table.fields.map(({ name }) => name)
            : change.columns.map(column);
        const found =
          change.rows?.map((row) => row.map((value) => evaluate(value, undefined, world))) ??
          queryValues(change.query as Query, world);
        const added = found.map((values) => {
          if (values.length !== names.length)
            throw new QueryFault(
              `Inserted row has wrong column count; Has ${values.length}, expected ${names.length}`,
              change.at,
            );
          return Object.fromEntries(
            table.fields.map(({ name, mode }) => [
              name,
              values[names.indexOf(name)] ?? (mode === 'REPEATED' ? [] : null),
            ]),
          );
        });
        this.rows.set(table.rows, [...rows, ...added]);
        return added.length;
      }
      case 'merge':
        throw unsupported('MERGE in memory', change.at);
    }
  }

  async holds(condition: Expr, context: QueryContext): Promise<boolean | null> {
    return evaluate(condition, undefined, this.world(context)) as boolean | null;
  }

  world(_: QueryContext): Evaluation {
    return { catalog: this, read: (table) => this.rowsOf(table), params: {} };
  }
}

interface Evaluation {
  readonly catalog: Catalog;
  readonly read: (table: Table) => readonly MemoryRow[];
  readonly params: Readonly<Record<string, unknown>>;
}

function tableAt(path: readonly string[], catalog: Catalog, at: number): Table {
  const [dataset = '', id = ''] = path.slice(-2);
  const table = catalog.get('table', tableKey(dataset, id));
  if (table === undefined)
    throw new Refusal('notFound', `Not found: Table ${dataset}.${id} was not found`);
  if (path.length < 2)
    throw new QueryFault(
      `Table "${id}" must be qualified with a dataset (e.g. dataset.table).`,
      at,
    );
  return table;
}

function plainSelect(query: Query): Select {
  const { body } = query;
  if (
    body.kind !== 'select' ||
    query.with.length > 0 ||
    query.orderBy.length > 0 ||
    query.limit ||
    body.groupBy ||
    body.having ||
    body.qualify ||
    body.distinct ||
    body.asStruct
  )
    throw unsupported('A query in memory beyond SELECT … FROM table WHERE …', query.at);
  return body;
}

function source(select: Select, world: Evaluation): readonly (MemoryRow | undefined)[] {
  const { from } = select;
  if (from === undefined) return [undefined];
  if (from.kind !== 'table') throw unsupported('A FROM in memory other than one table', from.at);
  const { where } = select;
  const rows = world.read(tableAt(from.path, world.catalog, from.at));
  return where === undefined ? rows : rows.filter((row) => evaluate(where, row, world) === true);
}

const AGGREGATES = new Set(['COUNT', 'MAX', 'MIN', 'SUM', 'COUNTIF']);

function aggregated(expr: Expr): boolean {
  if (expr.kind === 'call') return AGGREGATES.has(expr.name) || expr.args.some(aggregated);
  if (expr.kind === 'binary') return aggregated(expr.left) || aggregated(expr.right);
  return expr.kind === 'unary' && aggregated(expr.expr);
}

function queryValues(query: Query, world: Evaluation): readonly (readonly Value[])[] {
  const select = plainSelect(query);
  const rows = source(select, world);
  const exprs = select.items.map((item) => {
    if (item.kind === 'star') throw unsupported('SELECT * in memory', item.at);
    return item.expr;
  });
  if (exprs.some(aggregated)) return [exprs.map((expr) => evaluate(expr, undefined, world, rows))];
  return rows.map((row) => exprs.map((expr) => evaluate(expr, row, world)));
}

function evaluateQuery(query: Query, world: Evaluation): readonly MemoryRow[] {
  const names = plainSelect(query).items.map((item, i) =>
    item.kind === 'expr'
      ? (item.alias ?? (item.expr.kind === 'path' ? (item.expr.names.at(-1) as string) : `f${i}_`))
      : `f${i}_`,
  );
  return queryValues(query, world).map((values) =>
    Object.fromEntries(names.map((name, i) => [name, values[i] ?? null])),
  );
}

/** SQL's three values: null is "unknown". `group` is the rows an aggregate is over. */
function evaluate(
  expr: Expr,
  row: MemoryRow | undefined,
  world: Evaluation,
  group?: readonly (MemoryRow | undefined)[],
): Value {
  const of = (inner: Expr): Value => evaluate(inner, row, world, group);
  switch (expr.kind) {
    case 'literal':
      if (expr.type === 'NULL') return null;
      if (expr.type === 'BOOL') return expr.value === 'TRUE';
      return expr.type === 'INT64' || expr.type === 'FLOAT64' ? Number(expr.value) : expr.value;
    case 'param': {
      const found = world.params[String(expr.name)];
      if (found === undefined)
        throw new QueryFault(`Query parameter '${expr.name}' not found`, expr.at);
      return found as Value;
    }
    case 'path': {
      const name = expr.names.at(-1)?.toLowerCase();
      const key = Object.keys(row ?? {}).find((candidate) => candidate.toLowerCase() === name);
      if (row === undefined || key === undefined)
        throw new QueryFault(`Unrecognized name: ${expr.names.join('.')}`, expr.at);
      return row[key] as Value;
    }
    case 'unary': {
      const value = of(expr.expr);
      if (value === null) return null;
      if (expr.op === 'NOT') return !value;
      if (expr.op === '-') return -(value as number);
      break;
    }
    case 'binary':
      return binary(expr, of);
    case 'in': {
      if (expr.list === undefined) break;
      const value = of(expr.expr);
      const items = expr.list.map(of);
      const found =
        value === null
          ? null
          : items.some((item) => item === value)
            ? true
            : items.includes(null)
              ? null
              : false;
      return found === null ? null : found !== expr.not;
    }
    case 'is': {
      const value = of(expr.expr);
      return (
        (expr.what === 'NULL' ? value === null : value === (expr.what === 'TRUE')) !== expr.not
      );
    }
    case 'subquery': {
      const rows = queryValues(expr.query, world);
      if (expr.how === 'exists') return rows.length > 0;
      if (expr.how === 'scalar') {
        if (rows.length > 1)
          throw new Refusal(
            'invalidQuery',
            'Scalar subquery produced more than one element',
            'query',
          );
        return rows[0]?.[0] ?? null;
      }
      break;
    }
    case 'call':
      return call(expr, of, world, group);
    default:
  }
  throw unsupported(`This ${expr.kind} in memory`, expr.at);
}

function binary(expr: Extract<Expr, { kind: 'binary' }>, of: (expr: Expr) => Value): Value {
  const left = of(expr.left);
  const right = of(expr.right);
  if (expr.op === 'AND')
    return left === false || right === false
      ? false
      : left === null || right === null
        ? null
        : true;
  if (expr.op === 'OR')
    return left === true || right === true ? true : left === null || right === null ? null : false;
  if (left === null || right === null) return null;
  if (typeof left !== typeof right)
    throw new QueryFault(`No matching signature for operator ${expr.op}`, expr.at);
  switch (expr.op) {
    case '=':
      return left === right;
    case '<>':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '+':
    case '-':
      if (typeof left === 'number' && typeof right === 'number')
        return expr.op === '+' ? left + right : left - right;
      break;
    default:
  }
  throw unsupported(`Operator ${expr.op} in memory`, expr.at);
}

function call(
  expr: Extract<Expr, { kind: 'call' }>,
  of: (expr: Expr) => Value,
  world: Evaluation,
  group: readonly (MemoryRow | undefined)[] | undefined,
): Value {
  if (expr.name === 'COALESCE' || expr.name === 'IFNULL')
    return expr.args.map(of).find((value) => value !== null) ?? null;
  if (!AGGREGATES.has(expr.name) || expr.over || expr.distinct || expr.orderBy.length > 0)
    throw unsupported(`Function ${expr.name} in memory`, expr.at);
  if (group === undefined)
    throw new QueryFault(`Aggregate function ${expr.name} not allowed here`, expr.at);
  if (expr.star) return group.length;
  const [argument] = expr.args;
  if (argument === undefined)
    throw new QueryFault(`Number of arguments does not match for function ${expr.name}`, expr.at);
  const values = group
    .map((row) => evaluate(argument, row, world))
    .filter((value) => value !== null);
  if (expr.name === 'COUNT') return values.length;
  if (expr.name === 'COUNTIF') return values.filter((value) => value === true).length;
  if (expr.name === 'SUM')
    return values.length === 0
      ? null
      : values.reduce<number>((sum, value) => sum + Number(value), 0);
  return values.reduce<Value>(
    (best, value) =>
      best === null || (expr.name === 'MAX' ? value > best : value < best) ? value : best,
    null,
  );
}
