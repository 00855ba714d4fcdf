import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import {
  type Arrival,
  defineDomain,
  defineSource,
  defineTable,
  type SourceContract,
  type TableContract,
} from '../../../schemas/contract.ts';
import { bigqueryColumns } from '../../../schemas/derive/bigquery.ts';
import { dictionary } from '../../../schemas/derive/dictionary.ts';
import { rowSchema } from '../../../schemas/derive/json_schema.ts';
import { findContracts } from '../../../schemas/derive/render.ts';
import { type Catalog, catalogFaults, isCron } from '../../../schemas/derive/rules.ts';
import { sourceStruct, tableStruct } from '../../../schemas/derive/spark.ts';
import { tableValues } from '../../../schemas/derive/terraform.ts';
import { render } from '../../../scripts/render.ts';

const domain = defineDomain({
  about: 'A shop',
  longest_wait_minutes: 10,
  start_at_bytes: 1,
  batch_runs: 1,
  batch_bytes: 1,
  stale_partitions: 1,
  owner: 'shop',
});

const orders = defineSource({
  about: 'Orders',
  owner: 'shop',
  arrives: {
    kind: 'hubspot_objects',
    schedule: '*/10 * * * *',
    object: 'owners',
    full_every_hours: 1,
  },
  records: 'orders',
  key: ['order_id'],
  version: 'observed_at',
  event_time: 'ordered_at',
  bounds: { earliest: '2006-01-01', days_ahead: 2 },
  columns: {
    order_id: { type: 'STRING', required: true, about: 'Order' },
    ordered_at: { type: 'TIMESTAMP', required: true, as: 'epoch_ms', about: 'When' },
    email: { type: 'STRING', personal: true, about: 'Address' },
    labels: { type: 'STRING', repeated: true, as: 'json_array', about: 'Labels' },
  },
});

const sale = defineTable({
  about: 'Sales',
  grain: 'one order',
  key: ['order_id'],
  partition: 'order_date',
  cluster: ['order_id', 'counted'],
  reads: { 'shop.orders': 'same' },
  columns: {
    order_date: { type: 'DATE', required: true, about: 'Day' },
    order_id: { type: 'STRING', required: true, about: 'Order' },
    amount: { type: 'NUMERIC', about: 'Amount' },
    quantity: { type: 'INT64', about: 'Quantity' },
    share: { type: 'FLOAT64', about: 'Share' },
    counted: { type: 'BOOL', about: 'Counted' },
    buyer: { type: 'STRING', personal: true, about: 'Buyer' },
    labels: { type: 'STRING', repeated: true, about: 'Labels' },
  },
});

const catalog: Catalog = {
  domains: { shop: domain },
  sources: { 'shop.orders': orders },
  tables: { 'shop.sale': sale },
};

test('BigQuery columns keep their order, are never REQUIRED, and end with updated_at', () => {
  expect(bigqueryColumns(sale).map(({ name, type, mode }) => `${name} ${type} ${mode}`)).toEqual([
    'order_date DATE NULLABLE',
    'order_id STRING NULLABLE',
    'amount NUMERIC NULLABLE',
    'quantity INT64 NULLABLE',
    'share FLOAT64 NULLABLE',
    'counted BOOL NULLABLE',
    'buyer STRING NULLABLE',
    'labels STRING REPEATED',
    'updated_at TIMESTAMP NULLABLE',
  ]);
});

test('Spark rows are nullable throughout; silver adds what landing and merging know', () => {
  expect(tableStruct(sale).fields.map(({ name, type }) => [name, type])).toEqual([
    ['order_date', 'date'],
    ['order_id', 'string'],
    ['amount', 'decimal(38,9)'],
    ['quantity', 'long'],
    ['share', 'double'],
    ['counted', 'boolean'],
    ['buyer', 'string'],
    ['labels', { type: 'array', elementType: 'string', containsNull: true }],
    ['updated_at', 'timestamp'],
  ]);
  const silver = sourceStruct(orders).fields;
  expect(silver.slice(-4).map(({ name, type }) => `${name} ${type}`)).toEqual([
    'observed_at timestamp',
    '_run string',
    '_hash string',
    '_day date',
  ]);
  expect(silver.every(({ nullable }) => nullable)).toBe(true);
  const { event_time: _, ...undated } = orders;
  expect(sourceStruct(undated).fields.some(({ name }) => name === '_day')).toBe(false);
});

test('the JSON Schema takes good rows and refuses bad ones', () => {
  const valid = new Ajv2020({ allErrors: true }).compile(rowSchema('shop.sale', sale, 'table'));
  const row = {
    order_date: '2020-03-16',
    order_id: '1',
    amount: '12.30',
    quantity: 2,
    share: null,
    counted: true,
    buyer: null,
    labels: [],
    updated_at: '2020-03-17T00:00:00Z',
  };
  expect(valid(row)).toBe(true);
  for (const wrong of [
    { amount: 12.3 },
    { amount: '1.0000000001' },
    { quantity: 1.5 },
    { order_id: null },
    { order_date: '16.03.2020' },
    { labels: null },
    { unknown: 1 },
  ]) {
    expect(valid({ ...row, ...wrong }), JSON.stringify(wrong)).toBe(false);
  }
});

test('Terraform values carry partition, clustering and a policy tag on personal columns only', () => {
  const values = tableValues(sale, 'taxonomies/1/policyTags/2');
  expect(values.timePartitioning).toEqual({ type: 'DAY', field: 'order_date' });
  expect(values.clustering).toEqual(['order_id', 'counted']);
  const tagged = (JSON.parse(values.schema) as { name: string; policyTags?: unknown }[]).filter(
    ({ policyTags }) => policyTags !== undefined,
  );
  expect(tagged.map(({ name, policyTags }) => [name, policyTags])).toEqual([
    ['buyer', { names: ['taxonomies/1/policyTags/2'] }],
  ]);
  expect(tableValues(sale, null).schema).not.toContain('policyTags');
});

test('the dictionary names every column with its type', () => {
  const page = dictionary(catalog);
  expect(page).toContain('## shop.sale');
  expect(page).toContain('- partitioned by day of `order_date`');
  expect(page).toContain('| buyer | STRING | personal | Buyer |');
  expect(page).toContain('## shop.orders (source)');
});

test('a right catalog has no faults', () => {
  expect(catalogFaults(catalog)).toEqual([]);
});

const table = (changes: object): Catalog => ({
  ...catalog,
  tables: { 'shop.sale': { ...(sale as TableContract), ...changes } },
});
const column = (name: string, changes: object): Catalog =>
  table({
    columns: {
      ...sale.columns,
      [name]: { ...(sale.columns as TableContract['columns'])[name], ...changes },
    },
  });
const source = (changes: object): Catalog => ({
  ...catalog,
  sources: { 'shop.orders': { ...(orders as SourceContract), ...changes } },
});
const twoOf = (one: Arrival, other: Arrival): Catalog => ({
  ...catalog,
  sources: {
    'shop.orders': { ...(orders as SourceContract), arrives: one },
    'shop.returns': { ...(orders as SourceContract), arrives: other },
  },
});
const messages: Arrival = { kind: 'pubsub_messages', schedule: '* * * * *', topic: 'orders' };
const list: Arrival = {
  kind: 'rest_list',
  schedule: '*/10 * * * *',
  api: 'shop',
  url: 'https://api.example.com',
  path: '/orders',
  auth: 'bearer',
  paging: { by: 'link' },
  overlap_minutes: 10,
  requests_per_minute: 60,
  first_days: 30,
};
const database: Arrival = {
  kind: 'postgres_table',
  schedule: '*/30 * * * *',
  database: 'shop',
  table: 'orders',
  primary_key: ['order_id'],
  overlap_minutes: 10,
  full_every_hours: 24,
};
const read = (name: string, changes: object): Catalog =>
  source({
    columns: {
      ...orders.columns,
      [name]: { ...(orders.columns as SourceContract['columns'])[name], ...changes },
    },
  });

test.each<[string, Catalog, string]>([
  ['a domain without its file', { ...catalog, domains: {} }, 'schemas/shop/domain.ts is missing'],
  [
    'a limit of zero',
    { ...catalog, domains: { shop: { ...domain, batch_runs: 0 } } },
    'batch_runs is 0',
  ],
  [
    'a check of nothing',
    {
      ...catalog,
      domains: {
        shop: {
          ...domain,
          checks: { late: { about: 'x', subject: 'shop.lost', threshold: null } },
        },
      },
    },
    'check late is about shop.lost, which is neither a source nor a table',
  ],
  [
    'a list with a short row',
    {
      ...catalog,
      domains: {
        shop: { ...domain, lists: { codes: { about: 'x', columns: ['a', 'b'], rows: [['1']] } } },
      },
    },
    'list codes: row 1 has not its 2 columns',
  ],
  [
    'a second day that is not declared',
    table({ reads: { 'shop.orders': { days: 'SELECT 1', also_by: true } } }),
    'asks shop.orders by its second day, but it declares no also_by',
  ],
  [
    'a missing description',
    column('amount', { about: ' ' }),
    'column amount has no description of one line',
  ],
  [
    'a name in camel case',
    column('buyerName', { type: 'STRING', about: 'x' }),
    'column buyerName is not snake_case',
  ],
  ['a key on no column', table({ key: ['id'] }), 'key names unknown column id'],
  ['no key', table({ key: [] }), 'has no key'],
  [
    'a partition on text',
    table({ partition: 'order_id' }),
    'partition order_id is STRING, not DATE',
  ],
  [
    'a partition that may be empty',
    column('order_date', { required: undefined }),
    'partition column order_date is not required',
  ],
  [
    'five clustering columns',
    table({ cluster: ['order_id', 'counted', 'quantity', 'amount', 'buyer'] }),
    'clusters by 5 columns, BigQuery takes 4',
  ],
  [
    'clustering by a float',
    table({ cluster: ['share'] }),
    'BigQuery cannot cluster by share, a FLOAT64',
  ],
  [
    'clustering by a list',
    table({ cluster: ['labels'] }),
    'BigQuery cannot cluster by labels, a STRING',
  ],
  [
    'a column of its own updated_at',
    column('updated_at', { type: 'TIMESTAMP', about: 'x' }),
    'column updated_at is the one that every table gets',
  ],
  [
    'an unknown input',
    table({ reads: { 'shop.returns': 'all' } }),
    'reads shop.returns, which is neither a source nor a table',
  ],
  ['no input', table({ reads: {} }), 'reads nothing'],
  [
    'days of an undated input',
    {
      ...catalog,
      sources: { 'shop.orders': (({ event_time: _, ...rest }) => rest)(orders as SourceContract) },
    },
    'touches the same day, but shop.orders has no days',
  ],
  ['days of an undated table', table({ partition: undefined }), 'the table is not partitioned'],
  ['itself as input', table({ reads: { 'shop.sale': 'all' } }), 'reads itself'],
  [
    'a table and a source of one name',
    { ...catalog, tables: { 'shop.orders': sale } },
    'is a source and a table',
  ],
  [
    'a cycle',
    {
      ...catalog,
      tables: {
        'shop.sale': { ...sale, reads: { 'shop.day': 'all' } },
        'shop.day': { ...sale, reads: { 'shop.sale': 'all' } },
      },
    },
    'reads itself through shop.sale -> shop.day -> shop.sale',
  ],
  [
    'a wrong schedule',
    source({ arrives: { ...orders.arrives, schedule: '61 * * * *' } }),
    'schedule 61 * * * * is not a cron expression',
  ],
  ['a token in the clear', source({ arrives: { ...list, url: 'http://a.b' } }), 'https:// only'],
  ['a path that is none', source({ arrives: { ...list, path: 'orders' } }), 'begins with no slash'],
  [
    'a list that may not be asked for',
    source({ arrives: { ...list, requests_per_minute: 0 } }),
    'requests_per_minute is 0, not 1 or more',
  ],
  [
    'an empty page',
    source({ arrives: { ...list, page_size: { parameter: 'limit', records: 0 } } }),
    'page_size.records is 0, not 1 or more',
  ],
  ['an api with a space', source({ arrives: { ...list, api: 'my shop' } }), 'is not snake_case'],
  [
    'a table without a key',
    source({ arrives: { ...database, primary_key: [] } }),
    'primary_key names no column',
  ],
  [
    'a table that is always compared',
    source({ arrives: { ...database, full_every_hours: 0 } }),
    'full_every_hours is 0, not 1 or more',
  ],
  [
    'an odd topic',
    source({ arrives: { ...messages, topic: 'Orders_1' } }),
    'the topic Orders_1 is not lower-case words joined by hyphens',
  ],
  [
    'a wrong bound',
    source({ bounds: { earliest: '2006', days_ahead: 1 } }),
    'bounds.earliest is 2006',
  ],
  [
    'an event time that may be empty',
    read('ordered_at', { required: undefined }),
    'event_time ordered_at is not required',
  ],
  [
    'a key that may be empty',
    read('order_id', { required: undefined }),
    'key column order_id is not required',
  ],
  [
    'two ways to read',
    read('email', { from: 'a', sql: 'b' }),
    'column email has both from and sql',
  ],
  [
    'a hash of nothing',
    read('email', { hash_of: 'address' }),
    'column email hashes unknown column address',
  ],
  [
    'a decoding to another type',
    read('email', { as: 'epoch_ms' }),
    'column email is STRING, which epoch_ms does not decode to',
  ],
  [
    'a list that is not decoded',
    read('labels', { as: undefined }),
    'column labels: json_array and repeated go together',
  ],
  [
    'near days of a source',
    table({ reads: { 'shop.orders': { days: 'SELECT 1', near: 3 } } }),
    'asks shop.orders for near days, but only tables with days have them',
  ],
  [
    'a reach around changed rows, which have no days',
    table({ reads: { 'shop.orders': { days: 'SELECT 1', reach: 3 } } }),
    'asks shop.orders for reach days, but only tables with days have them',
  ],
  [
    'two lists of one API with different limits',
    twoOf(list, { ...list, requests_per_minute: 5 }),
    'shop.returns: url, auth and requests_per_minute differ from those of shop.orders',
  ],
  [
    'two sources of one topic',
    twoOf(messages, messages),
    'shop.returns: drains orders, as shop.orders does',
  ],
])('refused by name: %s', (_, wrong, fault) => {
  expect(catalogFaults(wrong).join('\n')).toContain(fault);
});

test.each([
  ['*/10 * * * *', true],
  ['17 4 * * 1-5', true],
  ['0,30 */2 1 * *', true],
  ['60 * * * *', false],
  ['* * * *', false],
  ['*/0 * * * *', false],
  ['5-1 * * * *', false],
  ['every 5 minutes', false],
])('cron %s', (text, right) => {
  expect(isCron(text)).toBe(right);
});

test('a contract under another name than its place is refused', async () => {
  const schemas = await mkdtemp(join(tmpdir(), 'contracts-'));
  try {
    await mkdir(join(schemas, 'shop/tables'), { recursive: true });
    await writeFile(join(schemas, 'shop/tables/sale.mts'), '');
    await writeFile(join(schemas, 'shop/tables/sale.ts'), 'export const sales = {};');
    await writeFile(join(schemas, 'shop/tables/two.ts'), 'export const two = {}, three = {};');
    await expect(findContracts(schemas)).rejects.toThrow(
      /sale\.ts: exports sales, but its place names it sale[\s\S]*two\.ts: exports three, two, not one/,
    );
  } finally {
    await rm(schemas, { recursive: true, force: true });
  }
});

test('rendering writes what differs, removes what is left over, then changes nothing', async () => {
  const root = await mkdtemp(join(tmpdir(), 'contracts-'));
  try {
    await mkdir(join(root, 'schemas/shop'), { recursive: true });
    await mkdir(join(root, 'schemas/rendered/old'), { recursive: true });
    await writeFile(join(root, 'schemas/rendered/old/gone.json'), '{}');
    await writeFile(
      join(root, 'schemas/shop/domain.ts'),
      `export const shop = ${JSON.stringify(domain)};`,
    );
    const differing = [
      'schemas/rendered/shop/domain.json',
      'schemas/rendered/catalog.ts',
      'docs/data-dictionary.md',
      'schemas/rendered/old/gone.json',
    ];
    expect(await render({ check: true, root })).toEqual({ changed: differing });
    expect(await render({ check: false, root })).toEqual({ changed: differing });
    expect(await render({ check: true, root })).toEqual({ changed: [] });
    await expect(readFile(join(root, 'schemas/rendered/old/gone.json'))).rejects.toThrow('ENOENT');
    expect(
      JSON.parse(readFileSync(join(root, 'schemas/rendered/shop/domain.json'), 'utf8')),
    ).toEqual({ name: 'shop', kind: 'domain', contract: domain });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
