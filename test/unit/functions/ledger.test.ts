import { describe, expect, it } from 'vitest';
import {
  abandoned,
  claimed,
  closing,
  emptyLedger,
  failed,
  type InFlight,
  loaded,
} from '../../../functions/ledger.ts';

const now = '2026-11-21T12:00:00.000Z';
const runs = ['a', 'b', 'c', 'd'].map((name) => ({
  manifest: `runs/d/s/${name}.json`,
  marker: '1',
}));
const claim = (taken = runs) => claimed(emptyLedger('d'), { runs: taken, recompute: [] }, now);
const own = { reason: 'boom', blame: 'claim' } as const;

describe('the ledger', () => {
  it('takes the next sequence with a claim', () => {
    const ledger = claim();
    expect(ledger.sequence).toBe(1);
    expect(ledger.in_flight).toMatchObject({ sequence: 1, attempt: 1, runs });
  });

  it('tries a claim again before it blames it', () => {
    const ledger = claim();
    const after = failed(ledger, ledger.in_flight as InFlight, own, now);
    expect(after.next).toBe('again');
    expect(after.ledger.in_flight).toMatchObject({ sequence: 1, attempt: 2, runs });
  });

  it('halves a claim that failed twice, and doubles again with every load', () => {
    let ledger = claim();
    ledger = failed(ledger, ledger.in_flight as InFlight, own, now).ledger;
    const after = failed(ledger, ledger.in_flight as InFlight, own, now);
    expect(after.next).toBe('halved');
    expect(after.ledger.in_flight).toMatchObject({ attempt: 3, runs: runs.slice(0, 2) });
    expect(after.ledger.limit).toBe(2);
    const next = loaded(after.ledger, { sequence: 1, versions: { x: 3 }, stale_left: 0 });
    expect(next).toMatchObject({ limit: 4, in_flight: null, loaded: 1, base: { x: 3 } });
  });

  it('sets a run aside that fails alone, and waits for a person when that goes on', () => {
    const alone = claim(runs.slice(0, 1));
    const twice = { ...alone, in_flight: { ...(alone.in_flight as InFlight), attempt: 2 } };
    const flight = { ...twice.in_flight, failures: [{ attempt: 1, ...own }] };
    const after = failed(twice, flight, own, now);
    expect(after).toMatchObject({ next: 'set_aside', run: runs[0] });
    expect(after.ledger).toMatchObject({ in_flight: null, set_aside: 1 });
    expect(failed({ ...twice, set_aside: 3 }, flight, own, now).next).toBe('waits');
  });

  it('never blames a claim for an environment that did not run it', () => {
    let ledger = claim();
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      const flight = ledger.in_flight as InFlight;
      const after = failed(ledger, flight, { reason: 'stockout', blame: 'environment' }, now);
      expect(after.next).toBe('again');
      ledger = after.ledger;
    }
    expect(ledger.in_flight).toMatchObject({ attempt: 7, runs });
  });

  it("drops an operator's requests before it blames a run", () => {
    const ledger = claimed(emptyLedger('d'), { runs, recompute: ['recompute/d/t/1.json'] }, now);
    const again = failed(ledger, ledger.in_flight as InFlight, own, now).ledger;
    const after = failed(again, again.in_flight as InFlight, own, now);
    expect(after).toMatchObject({ next: 'requests_dropped', requests: ['recompute/d/t/1.json'] });
    expect(after.ledger.in_flight).toMatchObject({ attempt: 3, runs, recompute: [] });
  });

  it('does not leave runs out when their work is already in silver', () => {
    const ledger = claim();
    const code = { reason: 'gold', blame: 'code' } as const;
    const again = failed(ledger, ledger.in_flight as InFlight, code, now).ledger;
    const after = failed(again, again.in_flight as InFlight, code, now);
    expect(after.next).toBe('waits');
    expect(after.ledger.in_flight).toMatchObject({ attempt: 3, runs });
  });

  it('gives the claim of a batch that BigQuery refuses back, and remembers how often', () => {
    const ledger = claim();
    const once = abandoned(ledger, 1, now);
    expect(once).toMatchObject({ in_flight: null, abandoned: { count: 1 }, base: {} });
    expect(abandoned(once ?? ledger, 1, now)).toBeNull();
  });

  it('lets nobody give up a batch whose runs are leaving the waiting list', () => {
    const ledger = claim();
    const ending = closing(ledger, 1);
    expect(ending?.in_flight).toMatchObject({ sequence: 1, closing: true });
    expect(abandoned(ending ?? ledger, 1, now)).toBeNull();
    expect(closing(ending ?? ledger, 1)).toBeNull();
    const batch = { sequence: 1, versions: {}, stale_left: 0 };
    expect(loaded(ending ?? ledger, batch)).toMatchObject({ loaded: 1, in_flight: null });
  });

  it('knows when stale partitions do not get fewer', () => {
    const stale = { ...emptyLedger('d'), stale: 5 };
    const ledger = claimed(stale, { runs: [], recompute: [] }, now);
    const after = (left: number) =>
      loaded(ledger, { sequence: 1, versions: {}, stale_left: left }).stalled;
    expect([after(5), after(4), after(0)]).toEqual([true, false, false]);
  });

  it('does not go back when an older load is reported late', () => {
    const ledger = { ...emptyLedger('d'), sequence: 5, loaded: 5, base: { x: 9 } };
    expect(loaded(ledger, { sequence: 4, versions: { x: 1 }, stale_left: 7 })).toEqual(ledger);
  });
});
