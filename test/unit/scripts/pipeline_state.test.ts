import { describe, expect, it } from 'vitest';
import { emptyCheckpoint } from '../../../functions/checkpoint.ts';
import { emptyLedger, type Ledger } from '../../../functions/ledger.ts';
import type { Window } from '../../../functions/window.ts';
import { type PipelineState, unsettled } from '../../../scripts/pipeline_state.ts';

const window: Window = {
  pass: 'hot',
  from: '2026-11-21T00:00:00.000Z',
  to: '2026-11-21T01:00:00.000Z',
};
const checkpoint = emptyCheckpoint('email', 'email_events');
const source = { name: 'email.email_events', checkpoint, leased: false };
const domain = {
  name: 'email',
  ledger: emptyLedger('email'),
  waiting: 0,
  recompute: 0,
  failed: 0,
};
const settled: PipelineState = {
  sources: [source],
  domains: [domain],
  messages: new Map(),
  dead: new Map(),
};
const inDomain = (change: Partial<typeof domain>): PipelineState => ({
  ...settled,
  domains: [{ ...domain, ...change }],
});
const flight: NonNullable<Ledger['in_flight']> = {
  sequence: 3,
  attempt: 2,
  runs: [{ manifest: 'runs/email/email_events/1.json', marker: '1' }],
  recompute: [],
  claimed_at: '2026-11-21T00:00:00.000Z',
  attempted_at: '2026-11-21T00:00:00.000Z',
  failures: [
    { attempt: 1, blame: 'claim', reason: 'AnalysisException: no column x\n== Plan ==\n...' },
  ],
};

describe('what a pipeline has still to do', () => {
  it('is nothing when all is loaded', () => {
    expect(unsettled(settled)).toEqual([]);
    // Dead letters wait for a person; they move nothing.
    expect(unsettled({ ...settled, dead: new Map([['load--dead', 1]]) })).toEqual([]);
  });

  it('moves on where something works on it', () => {
    const states: readonly (readonly [PipelineState, string])[] = [
      [inDomain({ waiting: 2 }), 'email: 2 runs wait'],
      [inDomain({ recompute: 1 }), 'email: 1 requests to compute again'],
      [inDomain({ ledger: { ...domain.ledger, stale: 4 } }), 'email: 4 partitions are stale'],
      [
        { ...settled, messages: new Map([['load--batch-transformed', 1]]) },
        'load--batch-transformed: 1 messages not acknowledged',
      ],
      [
        { ...settled, sources: [{ ...source, checkpoint: { ...checkpoint, open: [window] } }] },
        'email.email_events: 1 windows to read',
      ],
    ];
    for (const [state, what] of states) expect(unsettled(state)).toEqual([{ what, moves: true }]);
  });

  it('names the batch in flight and the first line of why its attempt before failed', () => {
    const state = inDomain({ waiting: 1, ledger: { ...domain.ledger, in_flight: flight } });
    expect(unsettled(state)).toEqual([
      {
        what: 'email: batch 3, attempt 2, of 1 runs is not loaded; the attempt before failed: AnalysisException: no column x',
        moves: true,
      },
    ]);
  });

  it('stays where a person must act first', () => {
    const trouble = {
      code: 'hubspot_unauthorized',
      message: 'the token is refused',
      at: 'now',
      needs_person: false,
    };
    const stopped = { ...checkpoint, open: [window], trouble };
    expect(unsettled({ ...settled, sources: [{ ...source, checkpoint: stopped }] })).toEqual([
      {
        what: 'email.email_events: 1 windows to read, stopped by hubspot_unauthorized: the token is refused',
        moves: false,
      },
    ]);
  });
});
