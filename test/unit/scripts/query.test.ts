/** What `query` prints, against the local BigQuery. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningBigquery, startBigquery } from '../../../local/bigquery/server.ts';
import { type Format, runQuery } from '../../../scripts/query.ts';
import { width } from '../../../scripts/rows.ts';

let server: RunningBigquery;

beforeAll(async () => {
  server = await startBigquery({ projectId: 'local-project', resolve: () => [] });
});

afterAll(async () => {
  await server?.close();
});

async function run(
  sql: string,
  format: Format = 'table',
  ...params: readonly string[]
): Promise<string> {
  let text = '';
  await runQuery(
    { sql, format, params },
    { apiEndpoint: server.url, projectId: 'local-project', location: 'EU' },
    (more) => {
      text += more;
    },
  );
  return text;
}

const ROWS = `SELECT * FROM UNNEST([
  STRUCT('naïve' AS name, 7 AS n, NUMERIC '0.10' AS cost, TIMESTAMP '2026-01-01 01:02:03.5+00' AS moment, ['a', 'b'] AS tags),
  ('日本 🌞', NULL, NUMERIC '12345678901234567890.5', NULL, []),
  ('a,"b"\\n\\x1b[31m', 9007199254740993, NULL, TIMESTAMP '1969-12-31 23:59:59+00', ['c'])]) ORDER BY n`;

describe('query', () => {
  test('a table aligns columns, numbers to the right, and shows NULL', async () => {
    expect(await run(ROWS)).toBe(
      [
        'name                              n                    cost  moment                    tags',
        '-----------------  ----------------  ----------------------  ------------------------  ---------',
        '日本 🌞                        NULL  12345678901234567890.5  NULL                      []',
        'naïve                             7                     0.1  2026-01-01T01:02:03.500Z  ["a","b"]',
        'a,"b"\\n\\u001b[31m  9007199254740993                    NULL  1969-12-31T23:59:59Z      ["c"]',
        '',
      ].join('\n'),
    );
  });

  test('JSON keeps every digit', async () => {
    expect(JSON.parse(await run(ROWS, 'json'))).toEqual([
      { name: '日本 🌞', n: null, cost: '12345678901234567890.5', moment: null, tags: [] },
      { name: 'naïve', n: 7, cost: '0.1', moment: '2026-01-01T01:02:03.500Z', tags: ['a', 'b'] },
      {
        name: 'a,"b"\n\x1b[31m',
        n: '9007199254740993',
        cost: null,
        moment: '1969-12-31T23:59:59Z',
        tags: ['c'],
      },
    ]);
    expect(await run('SELECT 1 AS a FROM UNNEST([1]) AS x WHERE x > 1', 'json')).toBe('[]\n');
  });

  test('CSV quotes what needs it and tells NULL from an empty text', async () => {
    expect(
      await run(
        `SELECT 'a,b' AS x, CAST(NULL AS STRING) AS y, '' AS z, 'say "hi"' AS w, STRUCT(1 AS k) AS s`,
        'csv',
      ),
    ).toBe('x,y,z,w,s\n"a,b",,"","say ""hi""","{""k"":1}"\n');
  });

  test('all pages are printed', async () => {
    const lines = (
      await run('SELECT x FROM UNNEST(GENERATE_ARRAY(1, 12000)) AS x ORDER BY x', 'csv')
    )
      .trimEnd()
      .split('\n');
    expect([lines.length, lines[1], lines.at(-1)]).toEqual([12001, '1', '12000']);
  });

  test('parameters', async () => {
    expect(
      await run(
        'SELECT @a AS a, @b + 1 AS b, @c AS c, @d AS d, x FROM UNNEST(@list) AS x',
        'csv',
        'a::it: is',
        'b:INT64:41',
        'c:DATE:2026-01-01',
        'd:NUMERIC:NULL',
        'list:ARRAY<STRING>:["x"]',
      ),
    ).toBe('a,b,c,d,x\nit: is,42,2026-01-01,,x\n');
    await expect(run('SELECT 1 AS x', 'csv', 'a')).rejects.toThrow(
      '--param a is not name:TYPE:value',
    );
    await expect(run('SELECT 1 AS x', 'csv', 'a:GEOGRAPHY:x')).rejects.toThrow(
      'GEOGRAPHY is none of STRING',
    );
    await expect(run('SELECT 1 AS x', 'csv', 'a:ARRAY<STRING>:x')).rejects.toThrow(
      'is not a JSON array',
    );
  });

  test('a fault shows its place', async () => {
    await expect(run('SELECT 1 AS x,\n       foo')).rejects.toThrow(
      'Unrecognized name: foo at [2:8]\n         foo\n         ^',
    );
    await expect(run('SELECT 1 / 0 AS x')).rejects.toThrow(/^division by zero: 1 \/ 0$/);
    await expect(run('  ')).rejects.toThrow('the query is empty');
  });

  test.each([
    ['abc', 3],
    ['é', 1],
    ['e\u0301', 1],
    ['日本', 4],
    ['🌞', 2],
    ['👩‍👩‍👧', 2],
    ['ｆ', 2],
    ['', 0],
  ])('%s is %d columns wide', (text, columns) => {
    expect(width(text)).toBe(columns);
  });
});
