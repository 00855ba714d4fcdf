/** Load jobs of the local BigQuery, as the official client sees them. */
import { describe, expect, test } from 'vitest';
import type { JobState } from '../../../functions/world.ts';
import { bigqueryWorld, field, refused, SCHEMA } from './bigquery_world.ts';

const world = bigqueryWorld();
const { ended, load, ndjson, parquet, rows, staged, write } = world;

describe('load jobs', () => {
  test('Parquet is read by column name, all types arrive', async () => {
    const uri =
      await parquet(`SELECT ['x', NULL, 'y'][1:1] AS tags, TIMESTAMPTZ '2026-01-01 12:00:00.123456+02' AS at, 12.5::DECIMAL(10,2) AS cost, 1::INTEGER AS n,
      'é' AS id, DATE '2026-01-01' AS day, TRUE AS flag, 0.5::DOUBLE AS f`);
    const schema = [
      ...SCHEMA,
      field('cost', 'NUMERIC'),
      field('f', 'FLOAT64'),
      field('flag', 'BOOL'),
      field('at', 'TIMESTAMP'),
      field('tags', 'STRING', 'REPEATED'),
      field('gone', 'STRING'),
    ];
    expect(await staged([uri], schema)).toEqual({ state: 'done', outputRows: 1 });
    const [row] = (await rows()) as Record<string, { value?: string; toFixed?: () => string }>[];
    expect(row).toMatchObject({
      day: { value: '2026-01-01' },
      id: 'é',
      n: 1,
      f: 0.5,
      flag: true,
      tags: ['x'],
      gone: null,
    });
    expect(row?.['cost']?.toFixed?.()).toBe('12.5');
    expect(row?.['at']?.value).toBe('2026-01-01T10:00:00.123456000Z');
  });

  test('several files land together or not at all', async () => {
    const good = await parquet(`SELECT DATE '2026-01-01' AS day, 'a' AS id, 1::BIGINT AS n`);
    const bad = await parquet(`SELECT DATE '2026-01-02' AS day, 'b' AS id, 'text' AS n`);
    expect(await staged([good, good])).toEqual({ state: 'done', outputRows: 2 });
    expect(await staged([good, bad])).toEqual(
      refused(/Parquet column 'n' has type VARCHAR which does not match.*INT64/),
    );
    expect(await staged([good, 'gs://bucket/absent'])).toEqual(
      refused(/Not found: URI gs:\/\/bucket\/absent/, 'notFound'),
    );
    expect(await rows()).toHaveLength(2);
  });

  test('an unknown Parquet column is refused unless it may be ignored', async () => {
    const uri = await parquet(`SELECT 'a' AS id, 5 AS extra`);
    const schema = { fields: [field('id', 'STRING')] };
    expect(await load({ sourceUris: [uri], schema })).toEqual(
      refused(/Cannot add fields \(field: extra\)/),
    );
    expect(await load({ sourceUris: [uri], schema, ignoreUnknownValues: true })).toEqual({
      state: 'done',
      outputRows: 1,
    });
  });

  test('a Parquet list is an array only with list inference', async () => {
    const uri = await parquet(`SELECT ['a'] AS tags`);
    const schema = { fields: [field('tags', 'STRING', 'REPEATED')] };
    expect(await load({ sourceUris: [uri], schema })).toEqual(refused(/enableListInference/));
    expect(
      await load({ sourceUris: [uri], schema, parquetOptions: { enableListInference: true } }),
    ).toMatchObject({ state: 'done' });
  });

  test('JSON values that do not fit, unknown keys and broken lines are refused by name', async () => {
    const of = async (...lines: readonly unknown[]): Promise<JobState> =>
      staged([await ndjson(...lines)], SCHEMA, 'NEWLINE_DELIMITED_JSON');
    expect(await of({ id: 'a', n: '7', day: '2026-01-01' }, { id: 'b' })).toEqual({
      state: 'done',
      outputRows: 2,
    });
    expect(await of({ id: 'a', n: 1.5 })).toEqual(
      refused(/Could not convert value to INT64. Field: n; Value: 1.5/),
    );
    expect(await of({ id: 'a', day: '2026-13-01' })).toEqual(refused(/date/));
    expect(await of({ id: 'a', other: 1 })).toEqual(refused(/No such field: other/));
    expect(await of({ id: ['a'] })).toEqual(refused(/Field: id/));
    expect(await of('{"id": "a"', '{"id": "b"}')).toEqual(refused(/JSON/));
    expect(await of('[1]')).toEqual(refused(/not an object/));
    expect(await rows()).toEqual([
      { day: null, id: 'b', n: null },
      { day: expect.objectContaining({ value: '2026-01-01' }), id: 'a', n: 7 },
    ]);
  });

  test('NULL in a REQUIRED column is refused', async () => {
    const schema = { fields: [{ name: 'id', type: 'STRING', mode: 'REQUIRED' }] };
    const uri = await parquet(`SELECT unnest(['a', NULL]) AS id`);
    expect(await load({ sourceUris: [uri], schema })).toEqual(
      refused(/Required field id cannot be null/),
    );
    await expect(rows()).rejects.toThrow(/Not found: Table/);
  });

  test('a file without rows is a load of zero rows, no file is an error', async () => {
    expect(
      await staged([
        await parquet(`SELECT DATE '2026-01-01' AS day, 'a' AS id, 1::BIGINT AS n LIMIT 0`),
      ]),
    ).toEqual({ state: 'done', outputRows: 0 });
    expect(await rows()).toEqual([]);
    expect(await load({ sourceUris: [], schema: { fields: SCHEMA } })).toEqual(
      refused(/at least one source URI/),
    );
  });

  test('dispositions', async () => {
    const one = await parquet(`SELECT 'a' AS id`);
    const schema = { fields: [field('id', 'STRING')] };
    expect(await load({ sourceUris: [one], schema, createDisposition: 'CREATE_NEVER' })).toEqual(
      refused(/Not found: Table/, 'notFound'),
    );
    for (const [writeDisposition, count] of [
      ['WRITE_EMPTY', 1],
      ['WRITE_APPEND', 2],
      ['WRITE_TRUNCATE_DATA', 1],
      ['WRITE_TRUNCATE', 1],
    ] as const) {
      expect(
        await load({
          sourceUris: [one],
          writeDisposition,
          ...(writeDisposition === 'WRITE_EMPTY' && { schema }),
        }),
      ).toMatchObject({ state: 'done' });
      expect(await rows()).toHaveLength(count);
    }
    expect(await load({ sourceUris: [one], writeDisposition: 'WRITE_EMPTY' })).toEqual(
      refused(/Already Exists: Table/, 'duplicate'),
    );
    expect(await load({ sourceUris: [one], schema: { fields: [field('id', 'INT64')] } })).toEqual(
      refused(/changed type from STRING to INTEGER/),
    );
    // WRITE_TRUNCATE may bring another schema.
    expect(
      await load({
        sourceUris: [await parquet('SELECT 1::BIGINT AS other')],
        schema: { fields: [field('other', 'INT64')] },
        writeDisposition: 'WRITE_TRUNCATE',
      }),
    ).toMatchObject({ state: 'done' });
    expect(await rows()).toEqual([{ other: 1 }]);
  });

  test('a manifest names the files', async () => {
    const uri = await parquet(`SELECT 'a' AS id`);
    await write('list.txt', `${uri}\n${uri}\n`);
    expect(
      await load({
        sourceUris: ['gs://bucket/list.txt'],
        schema: { fields: [field('id', 'STRING')] },
        fileSetSpecType: 'FILE_SET_SPEC_TYPE_NEW_LINE_DELIMITED_MANIFEST',
      }),
    ).toEqual({ state: 'done', outputRows: 2 });
  });

  test('a used job id adopts the first job, whatever is asked for the second time', async () => {
    const uri = await parquet(`SELECT DATE '2026-01-01' AS day, 'a' AS id, 1::BIGINT AS n`);
    const job = {
      jobId: 'same',
      dataset: world.dataset,
      table: 't',
      uris: [uri],
      format: 'PARQUET',
      schema: SCHEMA,
    } as const;
    expect(await world.warehouse.load(job)).toBe('started');
    expect(await world.warehouse.load({ ...job, uris: [uri, uri] })).toBe('exists');
    expect(await ended('same')).toEqual({ state: 'done', outputRows: 1 });
    await expect(
      world.bigquery.createJob({ jobId: 'same', location: 'EU', configuration: { load: {} } }),
    ).rejects.toMatchObject({ code: 409, errors: [{ reason: 'duplicate' }] });
    expect(await world.warehouse.job('never')).toEqual({ state: 'missing' });
  });
});
