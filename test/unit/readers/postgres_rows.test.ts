import { describe, expect, test } from 'vitest';
import { gathered, type Rows, readable } from '../../../functions/readers/postgres_rows.ts';

describe('rows as they come', () => {
  const collect = async (pieces: readonly Buffer[]): Promise<readonly Rows[]> => {
    const found: Rows[] = [];
    for await (const rows of gathered(
      (async function* () {
        yield* pieces;
      })(),
      null,
    ))
      found.push(rows);
    return found;
  };

  test('are whole, however they are cut on the way', async () => {
    const bytes = Buffer.from('a\t1\nbb\t\\N\n\nlast\té\n');
    for (let size = 1; size <= bytes.length; size += 1) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
        bytes.subarray(n * size, (n + 1) * size),
      );
      const [rows, ...more] = await collect(pieces);
      expect(more).toEqual([]);
      expect(rows).toEqual({ payload: bytes, records: 4, last: Buffer.from('last\té') });
    }
  });

  test('that are not UTF-8 stand alone', async () => {
    const bytes = Buffer.from('1\tok\n2\tbad: \xff\n3\tok\n4\tok\n', 'latin1');
    const [rows] = await collect([bytes]);
    expect(
      [...readable(rows as Rows)].map(({ payload, records }) => [
        payload.toString('latin1'),
        records,
      ]),
    ).toEqual([
      ['1\tok\n', 1],
      ['2\tbad: \xff\n', 1],
      ['3\tok\n4\tok\n', 2],
    ]);
  });

  test('too large to be held are refused before they are held', async () => {
    const pieces = Array.from({ length: 66 }, () => Buffer.alloc(1 << 20, 'x'));
    await expect(collect(pieces)).rejects.toMatchObject({ code: 'database_row_too_large' });
  });
});
