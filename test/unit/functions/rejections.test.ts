import { expect, test } from 'vitest';
import { unusualRejections } from '../../../functions/load.ts';

const output = (source: string, records: number, rejected: number, run = 'r') => ({
  source,
  run,
  records,
  rejected,
});

test('a source of which many records were refused is told, over all its runs', () => {
  expect(
    unusualRejections([
      output('email.email_events', 900, 2, 'r1'),
      output('email.email_events', 100, 28, 'r2'),
      output('email.contacts', 1000, 20),
    ]),
  ).toEqual([{ source: 'email.email_events', records: 1000, rejected: 30, rate: 0.03 }]);
});

test.each([
  ['a few of a few', output('email.owners', 20, 9)],
  ['a small share of many', output('email.email_events', 100_000, 2_000)],
  ['nothing at all', output('email.owners', 0, 0)],
])('%s is not unusual', (_, one) => {
  expect(unusualRejections([one])).toEqual([]);
});
