import { describe, expect, it } from 'vitest';
import { type Checkpoint, emptyCheckpoint } from '../../../functions/checkpoint.ts';
import { lateBy } from '../../../functions/sweep.ts';
import type { Window } from '../../../functions/window.ts';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-21T12:00:00.000Z');
const ago = (hours: number): string => new Date(NOW - hours * HOUR).toISOString();
const span = (pass: string, from: number, to: number): Window => ({
  pass,
  from: ago(from),
  to: ago(to),
});
const held = (change: Partial<Checkpoint>): Checkpoint => ({
  ...emptyCheckpoint('email', 'email_events'),
  edges: { hot: ago(0.1), 'again-72h': ago(72) },
  ...change,
});
const doneAt = (hours: number): Checkpoint['done'] => [
  { window: span('hot', 3, 2), run: 'r', records: 0, at: ago(hours) },
];
const trouble = { code: 'hubspot_unavailable', message: '502', at: ago(0.1), needs_person: false };
const lease = { holder: 'a', until: ago(-0.01) };

describe('a source is late', () => {
  it('when its schedule is silent', () => {
    expect(lateBy(held({ edges: { hot: ago(3) }, done: doneAt(3) }), NOW, HOUR)).toBe(3 * HOUR);
  });

  it('when planned windows are not read, whatever is planned meanwhile', () => {
    const open = [span('hot', 6, 5), span('hot', 0.3, 0.1)];
    expect(lateBy(held({ open, trouble, done: doneAt(0.1) }), NOW, HOUR)).toBe(5 * HOUR);
    expect(lateBy(held({ open, done: doneAt(5) }), NOW, HOUR)).toBe(5 * HOUR);
  });

  it('when a window that is read again waits too long since it could be', () => {
    const open = [span('again-72h', 80, 74)];
    expect(lateBy(held({ open, trouble }), NOW, HOUR)).toBe(2 * HOUR);
  });
});

describe('a source is not late', () => {
  it('before its first pull, and while it is read up to its last tick', () => {
    expect(lateBy(emptyCheckpoint('email', 'email_events'), NOW, HOUR)).toBeNull();
    expect(lateBy(held({}), NOW, HOUR)).toBeNull();
  });

  it('when an old window has just come up to be read again, even as HubSpot stumbles', () => {
    const open = [span('again-72h', 78, 72)];
    expect(lateBy(held({ open, trouble }), NOW, HOUR)).toBeNull();
  });

  it('while it catches up: somebody reads, or windows are finished', () => {
    const open = [span('hot', 720, 624)];
    expect(lateBy(held({ open, lease }), NOW, HOUR)).toBeNull();
    expect(lateBy(held({ open, done: doneAt(0.2) }), NOW, HOUR)).toBeNull();
  });

  it('for what a person has asked for', () => {
    const open = [span('backfill-1', 9_000, 8_000)];
    expect(lateBy(held({ open, trouble }), NOW, HOUR)).toBeNull();
  });
});
