/** The warehouse client against answers that only a bad day brings: what is tried again, under which id. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bigqueryWarehouse, warehouseFailure } from '../../../functions/clients/warehouse.ts';
import { Permanent, Transient } from '../../../functions/errors.ts';
import type { Warehouse } from '../../../functions/world.ts';

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: Record<string, unknown>;
}

let server: Server;
let seen: Seen[];
let answers: { readonly status: number; readonly body: unknown }[];
let warehouse: Warehouse;

beforeEach(async () => {
  seen = [];
  answers = [];
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    seen.push({
      method: request.method ?? '',
      path: request.url ?? '',
      body: text === '' ? {} : JSON.parse(text),
    });
    const answer = answers.shift() ?? { status: 500, body: {} };
    response
      .writeHead(answer.status, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  warehouse = bigqueryWarehouse({
    projectId: 'p',
    location: 'EU',
    apiEndpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const fault = (status: number, reason: string): { status: number; body: unknown } => ({
  status,
  body: {
    error: {
      code: status,
      message: `it said ${reason}`,
      errors: [{ reason, message: `it said ${reason}` }],
    },
  },
});
const job = {
  status: 200,
  body: {
    jobReference: { jobId: 'j', location: 'EU', projectId: 'p' },
    status: { state: 'RUNNING' },
  },
};
const load = {
  jobId: 'j',
  dataset: 'd',
  table: 't',
  uris: ['gs://b/o'],
  format: 'PARQUET',
  schema: [{ name: 'a', type: 'STRING', mode: 'NULLABLE' }],
} as const;

describe('a load', () => {
  test('carries its id and location on every try', async () => {
    answers.push(fault(503, 'backendError'), job);
    expect(await warehouse.load(load)).toBe('started');
    answers.push(job);
    await warehouse.load(load);
    expect(seen.map(({ body }) => body['jobReference'])).toEqual(
      Array.from({ length: 3 }, () => ({ projectId: 'p', jobId: 'j', location: 'EU' })),
    );
    expect(seen[0]?.body['configuration']).toEqual({
      load: {
        destinationTable: { projectId: 'p', datasetId: 'd', tableId: 't' },
        sourceUris: ['gs://b/o'],
        sourceFormat: 'PARQUET',
        schema: { fields: [{ name: 'a', type: 'STRING', mode: 'NULLABLE' }] },
        writeDisposition: 'WRITE_TRUNCATE',
        createDisposition: 'CREATE_IF_NEEDED',
        parquetOptions: { enableListInference: true },
      },
    });
  });

  test('that was taken although its answer was lost is adopted', async () => {
    answers.push(fault(503, 'backendError'), fault(409, 'duplicate'));
    expect(await warehouse.load(load)).toBe('exists');
  });

  test('that fails at once is a started job; its state tells why', async () => {
    answers.push({
      status: 200,
      body: {
        ...job.body,
        status: {
          state: 'DONE',
          errorResult: { reason: 'invalid', message: 'no' },
          errors: [{ reason: 'invalid', message: 'no' }],
        },
      },
    });
    expect(await warehouse.load(load)).toBe('started');
    answers.push({
      status: 200,
      body: {
        ...job.body,
        status: { state: 'DONE', errorResult: { reason: 'invalid', message: 'no' } },
      },
    });
    expect(await warehouse.job('j')).toEqual({ state: 'failed', reason: 'invalid', message: 'no' });
  });

  test('that may not be made is refused for good', async () => {
    answers.push(fault(403, 'accessDenied'));
    await expect(warehouse.load(load)).rejects.toMatchObject({
      name: 'Permanent',
      code: 'bigquery_access_denied',
    });
  });
});

test.each([
  [403, 'quotaExceeded', Transient],
  [403, 'rateLimitExceeded', Transient],
  [503, 'backendError', Transient],
  [500, 'internalError', Transient],
  [502, 'anything', Transient],
  [429, 'anything', Transient],
  [400, 'invalid', Permanent],
  [400, 'invalidQuery', Permanent],
  [404, 'notFound', Permanent],
  [403, 'accessDenied', Permanent],
  [403, 'billingNotEnabled', Permanent],
])('%d %s is tried again or not', (code, reason, Kind) => {
  const failure = warehouseFailure(
    'a query',
    Object.assign(new Error('x'), { code, errors: [{ reason }] }),
  );
  expect(failure).toBeInstanceOf(Kind);
});

test('no answer at all is worth another try', () => {
  expect(
    warehouseFailure(
      'a query',
      Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    ),
  ).toMatchObject({ name: 'Transient', code: 'bigquery_unreachable' });
});

test('DONE with tolerated errors is a success, and a job nobody knows is missing', async () => {
  answers.push(
    {
      status: 200,
      body: {
        ...job.body,
        status: { state: 'DONE', errors: [{ reason: 'invalid' }] },
        statistics: { load: { outputRows: '12' } },
      },
    },
    fault(404, 'notFound'),
  );
  expect(await warehouse.job('j')).toEqual({ state: 'done', outputRows: 12 });
  expect(await warehouse.job('j')).toEqual({ state: 'missing' });
  expect(seen[0]?.path).toContain('location=EU');
});

test('dropping a table that is gone is fine', async () => {
  answers.push({ status: 204, body: '' }, fault(404, 'notFound'), fault(403, 'accessDenied'));
  await warehouse.dropTable('d', 't');
  await warehouse.dropTable('d', 't');
  await expect(warehouse.dropTable('d', 't')).rejects.toBeInstanceOf(Permanent);
});
