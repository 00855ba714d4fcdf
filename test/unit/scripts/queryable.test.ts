import { describe, expect, it } from 'vitest';
import { costOfWaiting, quantile } from '../../../scripts/queryable.ts';

describe('from publishing to the table', () => {
  it('counts messages, not minutes', () => {
    const waits = [
      [60, 1],
      [600, 90],
      [900, 9],
    ] as const;
    expect(quantile(waits, 0.5)).toBe(600);
    expect(quantile(waits, 0.91)).toBe(600);
    expect(quantile(waits, 0.95)).toBe(900);
    expect(quantile([], 0.95)).toBeNaN();
  });

  it('costs more the less a domain waits, down to one batch after another', () => {
    // 30 days of a batch of 3 minutes every 10: 4,320 batches, 216 hours at 0.72 $.
    expect(costOfWaiting(10, 180)).toEqual({
      minutes: 10,
      batches_a_month: 4320,
      dollars_a_month: 156,
    });
    expect(costOfWaiting(1, 180)).toEqual({
      minutes: 1,
      batches_a_month: 14400,
      dollars_a_month: 518,
    });
    // Less than a minute is billed as one.
    expect(costOfWaiting(60, 10)).toMatchObject({ batches_a_month: 720, dollars_a_month: 9 });
  });
});
