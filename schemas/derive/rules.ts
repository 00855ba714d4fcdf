/** What must hold over the whole catalog and no single contract's type can say. */
import {
  type Arrival,
  type ColumnType,
  type Decoding,
  type DomainContract,
  defaultDecoding,
  type SourceColumn,
  type SourceContract,
  scheduleOf,
  type TableColumn,
  type TableContract,
} from '../contract.ts';
import { clusterable } from './terraform.ts';

/** Every contract by its name; sources and tables by `<domain>.<name>`. */
export interface Catalog {
  readonly domains: Readonly<Record<string, DomainContract>>;
  readonly sources: Readonly<Record<string, SourceContract>>;
  readonly tables: Readonly<Record<string, TableContract>>;
}

/** Domain whose tables the functions fill from the manifests: it has no Spark SQL. */
export const OPS = 'ops';

const snakeCase = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const isoDay = /^\d{4}-\d{2}-\d{2}$/;

const decodes = {
  text: ['STRING'],
  integer: ['INT64'],
  float: ['FLOAT64'],
  decimal: ['NUMERIC'],
  boolean: ['BOOL'],
  epoch_ms: ['TIMESTAMP', 'DATE'],
  iso: ['TIMESTAMP'],
  date: ['DATE'],
  json_array: ['STRING', 'INT64', 'FLOAT64', 'NUMERIC', 'BOOL', 'DATE', 'TIMESTAMP'],
} as const satisfies Record<Decoding, readonly ColumnType[]>;

/** One sentence per fault, beginning with the full name of the contract; empty = the catalog holds. */
export function catalogFaults(catalog: Catalog): readonly string[] {
  const names = [...Object.keys(catalog.sources), ...Object.keys(catalog.tables)];
  return [
    ...Object.entries(catalog.domains).flatMap(([name, domain]) => [
      ...domainFaults(domain).map((fault) => `${name}: ${fault}`),
      ...checkFaults(name, domain, catalog).map((fault) => `${name}: ${fault}`),
    ]),
    ...Object.entries(catalog.sources).flatMap(([name, source]) => [
      ...nameFaults(name, catalog),
      ...sourceFaults(source).map((fault) => `${name}: ${fault}`),
    ]),
    ...Object.entries(catalog.tables).flatMap(([name, table]) => [
      ...nameFaults(name, catalog),
      ...tableFaults(table).map((fault) => `${name}: ${fault}`),
      ...readFaults(name, table, catalog).map((fault) => `${name}: ${fault}`),
    ]),
    ...names
      .filter((name) => name in catalog.sources && name in catalog.tables)
      .map((name) => `${name}: is a source and a table`),
    ...cycleFaults(catalog.tables),
    ...sharingFaults(catalog.sources),
  ];
}

function nameFaults(fullName: string, catalog: Catalog): readonly string[] {
  const [domain = '', name = ''] = fullName.split('.');
  const faults: string[] = [];
  if (!snakeCase.test(name)) faults.push(`${fullName}: the name ${name} is not snake_case`);
  if (name === 'domain') faults.push(`${fullName}: the name domain is the domain's own`);
  if (!(domain in catalog.domains)) {
    faults.push(`${fullName}: schemas/${domain}/domain.ts is missing`);
  }
  return faults;
}

function domainFaults(domain: DomainContract): readonly string[] {
  const faults: string[] = [];
  if (domain.about.trim() === '') faults.push('has no description');
  if (domain.owner.trim() === '') faults.push('has no owner');
  for (const limit of [
    'longest_wait_minutes',
    'start_at_bytes',
    'batch_runs',
    'batch_bytes',
    'stale_partitions',
  ] as const) {
    if (!(Number.isInteger(domain[limit]) && domain[limit] > 0)) {
      faults.push(`${limit} is ${domain[limit]}, not a whole number above 0`);
    }
  }
  for (const [name, { about, columns, rows }] of Object.entries(domain.lists ?? {})) {
    if (about.trim() === '') faults.push(`list ${name} does not say where its facts come from`);
    const ragged = rows.findIndex((row) => row.length !== columns.length);
    if (ragged >= 0) {
      faults.push(`list ${name}: row ${ragged + 1} has not its ${columns.length} columns`);
    }
  }
  return faults;
}

function checkFaults(name: string, domain: DomainContract, catalog: Catalog): readonly string[] {
  const faults: string[] = [];
  if (!snakeCase.test(name)) faults.push('the name is not snake_case');
  for (const [check, { about, subject, threshold }] of Object.entries(domain.checks ?? {})) {
    if (about.trim() === '') faults.push(`check ${check} has no description`);
    if (!(subject in catalog.sources || subject in catalog.tables)) {
      faults.push(`check ${check} is about ${subject}, which is neither a source nor a table`);
    }
    if (threshold !== null && !(threshold >= 0 && threshold <= 1)) {
      faults.push(`check ${check} has the threshold ${threshold}, not a share from 0 to 1`);
    }
  }
  return faults;
}

function sourceFaults(source: SourceContract): readonly string[] {
  const faults = [...commonFaults(source)];
  const columns: Readonly<Record<string, SourceColumn>> = source.columns;
  if (source.owner.trim() === '') faults.push('has no owner');
  for (const name of source.key) {
    if (columns[name] && !columns[name].required) faults.push(`key column ${name} is not required`);
  }
  if (source.version !== 'observed_at') {
    faults.push(...typed(columns, source.version, 'TIMESTAMP', 'version'));
  }
  if (source.event_time !== undefined) {
    faults.push(...typed(columns, source.event_time, 'TIMESTAMP', 'event_time'));
    if (columns[source.event_time]?.required !== true) {
      faults.push(`event_time ${source.event_time} is not required`);
    }
  }
  if (source.also_by !== undefined)
    faults.push(...typed(columns, source.also_by, 'DATE', 'also_by'));
  if (source.deleted !== undefined)
    faults.push(...typed(columns, source.deleted, 'BOOL', 'deleted'));
  if (!isoDay.test(source.bounds.earliest)) {
    faults.push(`bounds.earliest is ${source.bounds.earliest}, not a day such as 2006-01-01`);
  }
  if (source.bounds.days_ahead < 0) faults.push('bounds.days_ahead is negative');
  faults.push(...arrivalFaults(source.arrives));
  const schedule = scheduleOf(source.arrives);
  if (schedule !== null && !isCron(schedule)) {
    faults.push(`schedule ${schedule} is not a cron expression of five fields`);
  }
  if ('observed_at' in columns) faults.push('column observed_at is the one that landing adds');
  for (const [name, column] of Object.entries(columns)) {
    faults.push(...readingFaults(name, column, columns));
  }
  return faults;
}

/** Terms of an arrival that its type cannot hold to. Names become topics, functions and secrets. */
function arrivalFaults(arrives: Arrival): readonly string[] {
  const faults: string[] = [];
  const atLeast = (least: number, terms: Readonly<Record<string, number | undefined>>): void => {
    for (const [name, value] of Object.entries(terms)) {
      if (value === undefined || value >= least) continue;
      faults.push(`${name} is ${value}, not ${least} or more`);
    }
  };
  switch (arrives.kind) {
    case 'rest_list': {
      const { api, url, path, page_size, requests_per_minute, first_days } = arrives;
      if (!snakeCase.test(api)) faults.push(`the api ${api} is not snake_case`);
      if (!/^(https:\/\/|http:\/\/127\.0\.0\.1[:/])/.test(url)) {
        faults.push(`url is ${url}: a token goes to https:// only, or stays on this machine`);
      }
      if (!path.startsWith('/')) faults.push(`path is ${path}, which begins with no slash`);
      atLeast(1, { 'page_size.records': page_size?.records, requests_per_minute, first_days });
      atLeast(0, { overlap_minutes: arrives.overlap_minutes });
      break;
    }
    case 'postgres_table': {
      const { database, primary_key, full_every_hours, overlap_minutes } = arrives;
      if (!snakeCase.test(database)) faults.push(`the database ${database} is not snake_case`);
      if (primary_key.length === 0) faults.push('primary_key names no column');
      atLeast(1, { full_every_hours });
      atLeast(0, { overlap_minutes });
      break;
    }
    case 'pubsub_messages':
      if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(arrives.topic)) {
        faults.push(`the topic ${arrives.topic} is not lower-case words joined by hyphens`);
      }
  }
  return faults;
}

function readingFaults(
  name: string,
  column: SourceColumn,
  columns: Readonly<Record<string, SourceColumn>>,
): readonly string[] {
  const faults: string[] = [];
  const ways = (['from', 'sql', 'hash_of'] as const).filter((way) => column[way] !== undefined);
  if (ways.length > 1) faults.push(`column ${name} has both ${ways.join(' and ')}`);
  const computed = column.sql !== undefined || column.hash_of !== undefined;
  if (computed && column.as !== undefined) {
    faults.push(`column ${name} is computed, so it has nothing to decode as ${column.as}`);
  }
  if (column.hash_of !== undefined) {
    if (!(column.hash_of in columns))
      faults.push(`column ${name} hashes unknown column ${column.hash_of}`);
    if (column.type !== 'STRING') faults.push(`column ${name} is a hash, but not a STRING`);
  }
  const decoding = column.as ?? defaultDecoding[column.type];
  const types: readonly ColumnType[] = decodes[decoding];
  if (!types.includes(column.type)) {
    faults.push(`column ${name} is ${column.type}, which ${decoding} does not decode to`);
  }
  if ((decoding === 'json_array') !== (column.repeated === true) && !computed) {
    faults.push(`column ${name}: json_array and repeated go together`);
  }
  return faults;
}

function tableFaults(table: TableContract): readonly string[] {
  const faults = [...commonFaults(table)];
  const columns: Readonly<Record<string, TableColumn>> = table.columns;
  if (table.grain.trim() === '') faults.push('has no grain');
  if ('updated_at' in columns) faults.push('column updated_at is the one that every table gets');
  if (table.partition !== undefined) {
    faults.push(...typed(columns, table.partition, 'DATE', 'partition'));
    if (columns[table.partition]?.required !== true) {
      faults.push(`partition column ${table.partition} is not required`);
    }
  }
  const cluster = table.cluster ?? [];
  if (cluster.length > 4) faults.push(`clusters by ${cluster.length} columns, BigQuery takes 4`);
  if (new Set(cluster).size < cluster.length) faults.push('clusters by a column twice');
  for (const name of cluster) {
    const column = columns[name];
    if (column === undefined) faults.push(`cluster names unknown column ${name}`);
    else if (column.repeated || !clusterable[column.type]) {
      faults.push(`BigQuery cannot cluster by ${name}, a ${column.type}`);
    }
  }
  return faults;
}

function commonFaults(contract: {
  readonly about: string;
  readonly key: readonly string[];
  readonly columns: Readonly<Record<string, TableColumn>>;
}): readonly string[] {
  const faults: string[] = [];
  if (contract.about.trim() === '') faults.push('has no description');
  if (contract.key.length === 0) faults.push('has no key');
  if (new Set(contract.key).size < contract.key.length) faults.push('names a key column twice');
  for (const name of contract.key) {
    if (!(name in contract.columns)) faults.push(`key names unknown column ${name}`);
    else if (contract.columns[name]?.repeated) faults.push(`key column ${name} repeats`);
  }
  for (const [name, column] of Object.entries(contract.columns)) {
    if (!snakeCase.test(name)) faults.push(`column ${name} is not snake_case`);
    if (column.about.trim() === '' || column.about.includes('\n')) {
      faults.push(`column ${name} has no description of one line`);
    }
  }
  return faults;
}

function typed(
  columns: Readonly<Record<string, TableColumn>>,
  name: string,
  type: ColumnType,
  role: string,
): readonly string[] {
  const column = columns[name];
  if (column === undefined) return [`${role} names unknown column ${name}`];
  if (column.type !== type || column.repeated) {
    return [`${role} ${name} is ${column.repeated ? 'repeated ' : ''}${column.type}, not ${type}`];
  }
  return [];
}

function readFaults(name: string, table: TableContract, catalog: Catalog): readonly string[] {
  const faults: string[] = [];
  const inputs = Object.entries(table.reads);
  const [domain = ''] = name.split('.');
  // A table made of the domain's lists alone has no input that changes.
  const lists = catalog.domains[domain]?.lists ?? {};
  if (inputs.length === 0 && domain !== OPS && Object.keys(lists).length === 0) {
    faults.push('reads nothing');
  }
  for (const [input, touch] of inputs) {
    const source = catalog.sources[input];
    const other = catalog.tables[input];
    if (source === undefined && other === undefined) {
      faults.push(`reads ${input}, which is neither a source nor a table`);
      continue;
    }
    if (input === name) faults.push('reads itself; as it stands it is `self`');
    const dated = source === undefined ? other?.partition : source.event_time;
    if (touch === 'same' && dated === undefined) {
      faults.push(`a change of ${input} touches the same day, but ${input} has no days`);
    }
    if (typeof touch === 'object' && touch.also_by && source?.also_by === undefined) {
      faults.push(`asks ${input} by its second day, but it declares no also_by`);
    }
    for (const name of ['near', 'reach'] as const) {
      const around = typeof touch === 'object' ? touch[name] : undefined;
      if (around === undefined) continue;
      if (other?.partition === undefined) {
        faults.push(`asks ${input} for ${name} days, but only tables with days have them`);
      }
      if (!(Number.isInteger(around) && around >= 0)) {
        faults.push(`${name} is ${around}, not a number of days`);
      }
    }
    if (touch !== 'all' && touch !== 'ignore' && table.partition === undefined) {
      faults.push(`a change of ${input} touches days, but the table is not partitioned: use 'all'`);
    }
  }
  return faults;
}

/** What sources of one credential must agree on, for one function pulls them with one budget. */
function sharingFaults(sources: Readonly<Record<string, SourceContract>>): readonly string[] {
  const faults: string[] = [];
  const first = new Map<string, { readonly name: string; readonly terms: string }>();
  for (const [name, { arrives }] of Object.entries(sources)) {
    if (arrives.kind !== 'rest_list') continue;
    const terms = JSON.stringify([arrives.url, arrives.auth, arrives.requests_per_minute]);
    const other = first.get(arrives.api);
    if (other === undefined) first.set(arrives.api, { name, terms });
    else if (other.terms !== terms) {
      faults.push(
        `${name}: url, auth and requests_per_minute differ from those of ${other.name}, which is of the same API`,
      );
    }
  }
  const topics = new Map<string, string>();
  for (const [name, { arrives }] of Object.entries(sources)) {
    if (arrives.kind !== 'pubsub_messages') continue;
    const other = topics.get(arrives.topic);
    if (other !== undefined) faults.push(`${name}: drains ${arrives.topic}, as ${other} does`);
    topics.set(arrives.topic, name);
  }
  return faults;
}

function cycleFaults(tables: Readonly<Record<string, TableContract>>): readonly string[] {
  const done = new Set<string>();
  const faults: string[] = [];
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name)) {
      const cycle = [...path.slice(path.indexOf(name)), name];
      if (cycle.length > 2) faults.push(`${name}: reads itself through ${cycle.join(' -> ')}`);
      return;
    }
    if (done.has(name)) return;
    for (const input of Object.keys(tables[name]?.reads ?? {})) {
      if (input in tables) visit(input, [...path, name]);
    }
    done.add(name);
  };
  for (const name of Object.keys(tables)) visit(name, []);
  return faults;
}

const cronFields: readonly (readonly [number, number])[] = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
];

/** Whether Scheduler takes this as unix-cron with numbers: five fields, lists, ranges, steps. */
export function isCron(text: string): boolean {
  const fields = text.trim().split(/\s+/);
  if (fields.length !== cronFields.length) return false;
  return fields.every((field, at) => {
    const [low, high] = cronFields[at] ?? [0, 0];
    return field.split(',').every((part) => {
      const parts = /^(\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part);
      if (parts === null) return false;
      const [, , from, to, step] = parts;
      if (step !== undefined && !(Number(step) >= 1 && Number(step) <= high)) return false;
      const inside = (value: string | undefined) =>
        value === undefined || (Number(value) >= low && Number(value) <= high);
      return inside(from) && inside(to) && (to === undefined || Number(from) <= Number(to));
    });
  });
}
