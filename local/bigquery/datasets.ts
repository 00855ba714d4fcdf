/** Datasets and tables: what may be made, changed and removed. */
import { Refusal } from './refusal.ts';
import {
  type Catalog,
  type Dataset,
  type Store,
  type Table,
  type TableDraft,
  type Transaction,
  tableKey,
} from './store.ts';

export interface DatasetsOptions {
  readonly store: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly projectId: string;
}

export class Datasets {
  readonly #options: DatasetsOptions;
  #lastRows = 0;

  constructor(options: DatasetsOptions) {
    this.#options = options;
  }

  get #store(): Store {
    return this.#options.store;
  }

  async insert(id: string, resource: Readonly<Record<string, unknown>>): Promise<Dataset> {
    if (!/^\w{1,1024}$/.test(id))
      throw new Refusal(
        'invalid',
        `Invalid dataset ID "${id}". Dataset IDs must be alphanumeric (plus underscores) and must be at most 1024 characters long.`,
      );
    return this.#store.write(async (transaction) => {
      if (transaction.get('dataset', id))
        throw new Refusal('duplicate', `Already Exists: Dataset ${this.#options.projectId}:${id}`);
      const dataset: Dataset = { id, resource };
      transaction.put('dataset', id, dataset);
      return dataset;
    });
  }

  async put(id: string, resource: Readonly<Record<string, unknown>>): Promise<Dataset> {
    return this.#store.write(async (transaction) => {
      this.dataset(id, transaction);
      const dataset: Dataset = { id, resource };
      transaction.put('dataset', id, dataset);
      return dataset;
    });
  }

  async remove(id: string, deleteContents: boolean): Promise<void> {
    await this.#store.write(async (transaction) => {
      this.dataset(id, transaction);
      const tables = transaction.all('table').filter((table) => table.dataset === id);
      if (tables.length > 0 && !deleteContents)
        throw new Refusal(
          'resourceInUse',
          `Dataset ${this.#options.projectId}:${id} is still in use`,
        );
      for (const table of tables) {
        await transaction.drop(table);
        transaction.remove('table', tableKey(id, table.id));
      }
      transaction.remove('dataset', id);
    });
  }

  /** @throws Refusal of reason notFound */
  dataset(id: string, catalog: Catalog = this.#store): Dataset {
    const dataset = catalog.get('dataset', id);
    if (dataset === undefined)
      throw new Refusal('notFound', `Not found: Dataset ${this.#options.projectId}:${id}`);
    return dataset;
  }

  /** @throws Refusal of reason notFound */
  table(dataset: string, id: string, catalog: Catalog = this.#store): Table {
    const table = catalog.get('table', tableKey(dataset, id));
    if (table !== undefined) return table;
    this.dataset(dataset, catalog);
    throw new Refusal('notFound', `Not found: Table ${this.#options.projectId}:${dataset}.${id}`);
  }

  async insertTable(table: TableDraft): Promise<Table> {
    return this.#store.write(async (transaction) => {
      this.dataset(table.dataset, transaction);
      if (transaction.get('table', tableKey(table.dataset, table.id)))
        throw new Refusal(
          'duplicate',
          `Already Exists: Table ${this.#options.projectId}:${table.dataset}.${table.id}`,
        );
      return this.create(transaction, table);
    });
  }

  /** Makes a table within a transaction. */
  async create(transaction: Transaction, table: TableDraft): Promise<Table> {
    checkTable(table);
    const now = this.#options.now();
    this.#lastRows = Math.max(
      this.#lastRows + 1,
      ...transaction.all('table').map(({ rows }) => Number(rows.slice(1)) + 1),
    );
    const made: Table = { ...table, rows: `t${this.#lastRows}`, createdMs: now, modifiedMs: now };
    await transaction.create(made);
    transaction.put('table', tableKey(made.dataset, made.id), made);
    return made;
  }

  /** Removes a table; one that is not there is an error of reason notFound. */
  async removeTable(dataset: string, id: string): Promise<void> {
    await this.#store.write(async (transaction) => {
      await transaction.drop(this.table(dataset, id, transaction));
      transaction.remove('table', tableKey(dataset, id));
    });
  }

  /** Notes that a table's rows have changed. */
  touch(table: Table, transaction: Transaction): void {
    const current = transaction.get('table', tableKey(table.dataset, table.id)) ?? table;
    transaction.put('table', tableKey(table.dataset, table.id), {
      ...current,
      modifiedMs: this.#options.now(),
    });
  }
}

function checkTable(table: TableDraft): void {
  if (!/^[\w-]{1,1024}$/.test(table.id))
    throw new Refusal('invalid', `Invalid table ID "${table.id}".`);
  const names = new Set<string>();
  for (const { name } of table.fields) {
    if (!/^[A-Za-z_]\w{0,299}$/.test(name))
      throw new Refusal(
        'invalid',
        `Invalid field name "${name}". Fields must contain only letters, numbers, and underscores, start with a letter or underscore, and be at most 300 characters long.`,
      );
    if (names.has(name.toLowerCase()))
      throw new Refusal('invalid', `Duplicate field name: ${name}`);
    names.add(name.toLowerCase());
  }
  const { timePartitioning } = table;
  if (timePartitioning === undefined) return;
  if (timePartitioning.field === undefined)
    throw new Refusal('invalid', 'Partitioning by ingestion time is not supported locally');
  const field = table.fields.find(({ name }) => name === timePartitioning.field);
  if (field === undefined)
    throw new Refusal(
      'invalid',
      `The field specified for partitioning cannot be found in the schema: ${timePartitioning.field}`,
    );
  if (!['DATE', 'TIMESTAMP'].includes(field.type.toUpperCase()) || field.mode === 'REPEATED')
    throw new Refusal(
      'invalid',
      `The field specified for partitioning must be of type DATE or TIMESTAMP: ${field.name}`,
    );
}
