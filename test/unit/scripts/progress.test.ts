import { describe, expect, it } from 'vitest';
import { duration, table } from '../../../scripts/progress.ts';

describe('a duration', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0.0 s'],
    [449, '0.4 s'],
    [9_940, '9.9 s'],
    [119_400, '119 s'],
    [119_600, '2 min 0 s'],
    [299_700, '5 min 0 s'],
    [3_725_000, '62 min 5 s'],
  ];
  it.each(cases)('of %d ms is %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});

describe('a table', () => {
  it('has numbers to the right and nothing where there is nothing', () => {
    const rows = [
      { source: 'email.owners', lag: 5, trouble: null },
      { source: 'x', lag: 120, trouble: 'quota' },
    ];
    expect(table(rows)).toBe(
      [
        'source        lag  trouble',
        '------------  ---  -------',
        'email.owners    5',
        'x             120  quota',
      ].join('\n'),
    );
    expect(table([])).toBe('(nothing)');
  });
});
