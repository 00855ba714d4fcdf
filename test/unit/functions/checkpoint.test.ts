import { describe, expect, it } from 'vitest';
import { emptyCheckpoint, finished, planned } from '../../../functions/checkpoint.ts';
import type { Window } from '../../../functions/window.ts';

const window = (from: string, to: string, more: Partial<Window> = {}): Window => ({
  pass: 'hot',
  from: `2026-11-21T${from}:00.000Z`,
  to: `2026-11-21T${to}:00.000Z`,
  ...more,
});
const done = { run: 'r', records: 1, at: '2026-11-21T12:00:00.000Z' };

describe('a checkpoint', () => {
  it('keeps a planned window open until it is read whole', () => {
    const open = planned(emptyCheckpoint('d', 's'), {
      windows: [window('10:00', '11:00')],
      edges: { hot: '2026-11-21T11:00:00.000Z' },
    });
    const remaining = window('10:00', '10:20');
    const part = finished(open, { ...done, window: window('10:00', '11:00'), remaining });
    expect(part.open).toEqual([remaining]);
    expect(part.edges).toEqual({ hot: '2026-11-21T11:00:00.000Z' });
    expect(finished(part, { ...done, window: remaining, remaining: null }).open).toEqual([]);
  });

  it('ignores a window that somebody else has finished', () => {
    const state = emptyCheckpoint('d', 's');
    expect(finished(state, { ...done, window: window('10:00', '11:00'), remaining: null })).toBe(
      state,
    );
  });

  it('tells windows apart by pass, filter and cursor', () => {
    const windows = [
      window('10:00', '11:00'),
      window('10:00', '11:00', { pass: 'again-72h' }),
      window('10:00', '11:00', { only: { campaign: '7' } }),
      window('10:00', '11:00', { cursor: 'x' }),
    ];
    const open = planned(emptyCheckpoint('d', 's'), { windows, edges: {} });
    expect(open.open).toHaveLength(4);
    expect(planned(open, { windows, edges: {} }).open).toHaveLength(4);
  });
});
