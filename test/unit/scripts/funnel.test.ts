/** Funnels over a few hand-made events, worked out by hand, on the local BigQuery. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { siteWorld } from '../../../local/outside/site/world.ts';
import { type FunnelRequest, runFunnel } from '../../../scripts/funnel.ts';
import { type FilledBigquery, PROJECT, startFilled } from '../local/filled_bigquery.ts';

let filled: FilledBigquery;

type Event = readonly [user: string | null, session: string | null, type: string, at: string];

const MARCH: readonly Event[] = [
  // ada: all three steps, in session a1; a second sign-up later changes nothing.
  ['ada', 'a1', 'view', '2024-03-04T10:00:00Z'],
  ['ada', 'a1', 'signup', '2024-03-04T10:00:30Z'],
  ['ada', 'a1', 'purchase', '2024-03-04T10:10:30Z'],
  ['ada', 'a2', 'signup', '2024-03-05T10:00:00Z'],
  // ben: the second step in another session.
  ['ben', 'b1', 'view', '2024-03-04T11:00:00Z'],
  ['ben', 'b2', 'signup', '2024-03-04T12:00:00Z'],
  // cy: bought before he signed up, which is no third step.
  ['cy', 'c1', 'view', '2024-03-04T09:00:00Z'],
  ['cy', 'c1', 'purchase', '2024-03-04T09:00:05Z'],
  ['cy', 'c1', 'signup', '2024-03-04T09:00:10Z'],
  // dan: never viewed.
  ['dan', 'd1', 'signup', '2024-03-04T09:00:00Z'],
  // A session without a user, which reaches the second step in the very same moment.
  [null, 'e1', 'view', '2024-03-04T15:00:00Z'],
  [null, 'e1', 'signup', '2024-03-04T15:00:00Z'],
  // fay: only in April.
  ['fay', 'f1', 'view', '2024-04-01T00:00:00Z'],
];

const columns = {
  'website.events': [
    'event_date DATE',
    'event_at TIMESTAMP',
    'event_key STRING',
    'user_id STRING',
    'session_date DATE',
    'session_id STRING',
    'event_type STRING',
  ],
  'commerce.user_behavior': [
    'date DATE',
    'event_at TIMESTAMP',
    'event_id STRING',
    'user_id STRING',
    'session_id STRING',
    'event_name STRING',
  ],
  'commerce.sessions': [
    'session_date DATE',
    'session_id STRING',
    'started_at TIMESTAMP',
    'ended_at TIMESTAMP',
  ],
} as const;

/** A simulated site, as its table shows it: three weeks in which a sign-up breaks on phones. */
const world = siteWorld({ seed: 2, scale: 8_000, until: Date.parse('2026-11-20T18:00:00Z') });
const SIMULATED: readonly Event[] = [...world.events()].map((event) => [
  event.user_id,
  event.session_id ?? null,
  event.event_type,
  event.occurred_at,
]);

/** Views on one day and a purchase days later, each in a session of its own by the same id. */
const AGAIN: readonly Event[] = [
  ['gil', 'g1', 'view', '2024-03-05T09:00:00Z'],
  ['gil', 'g1', 'view', '2024-03-05T09:01:00Z'],
  ['gil', 'g1', 'purchase', '2024-03-09T09:00:00Z'],
];

const rowsOf = (events: readonly Event[]) => {
  const began = new Map<string | null, string>();
  return events.map(([user_id, session_id, type, at], i) => {
    const date = at.slice(0, 10);
    const session_date = began.get(session_id) ?? date;
    began.set(session_id, session_date);
    const key = String(i).padStart(6, '0');
    return {
      ...{ event_date: date, date, session_date, event_at: at, event_key: key },
      ...{ event_id: key, user_id, session_id, event_type: type, event_name: type },
    };
  });
};

/** The sessions table, where no session goes on over a day on which nothing happened. */
const sessionsOf = (events: readonly Event[]) => {
  const sessions = new Map<string, Record<string, string>>();
  for (const [, session_id, , at] of events) {
    if (session_id === null) continue;
    const found = [...sessions.values()].findLast(
      (one) =>
        one['session_id'] === session_id &&
        Date.parse(at) - Date.parse(one['ended_at'] ?? '') < 86_400_000,
    );
    if (found !== undefined) found['ended_at'] = at;
    else {
      const session_date = at.slice(0, 10);
      sessions.set(`${session_date} ${session_id}`, {
        ...{ session_date, session_id, started_at: at, ended_at: at },
      });
    }
  }
  return [...sessions.values()];
};

beforeAll(async () => {
  const shopped = [...MARCH, ...AGAIN, ...SIMULATED];
  const rows: Readonly<Record<keyof typeof columns, readonly object[]>> = {
    'website.events': rowsOf([...MARCH, ...SIMULATED]),
    'commerce.user_behavior': rowsOf(shopped),
    'commerce.sessions': sessionsOf(shopped),
  };
  filled = await startFilled(
    Object.fromEntries(
      Object.entries(columns).map(([name, schema]) => {
        const fields = schema.map((text) => {
          const [column = '', type = ''] = text.split(' ');
          return { name: column, type };
        });
        const kept = new Set(fields.map((field) => field.name));
        const own = rows[name as keyof typeof columns].map((row) =>
          Object.fromEntries(Object.entries(row).filter(([column]) => kept.has(column))),
        );
        return [name, { fields, rows: own }];
      }),
    ),
  );
});

afterAll(() => filled?.close());

const asked = async (request: FunnelRequest): Promise<readonly unknown[]> => {
  let text = '';
  await runFunnel(
    { ...request, format: 'json' },
    { projectId: PROJECT, location: 'EU', apiEndpoint: filled.url },
    (part) => {
      text += part;
    },
  );
  return JSON.parse(text) as readonly unknown[];
};

const SPRING = { from: '2024-03-01', to: '2024-04-30' } as const;

const row = (
  step: number,
  event_type: string,
  reached: number,
  dropped: number | null,
  share: number | null,
  share_of_previous: number | null,
  median_seconds: number | null,
) => ({ step, event_type, reached, dropped, share, share_of_previous, median_seconds });

test('users that did each step after the one before, on whichever days and sessions', async () => {
  expect(await asked({ steps: ['view', 'signup', 'purchase'], grain: 'user', ...SPRING })).toEqual([
    row(1, 'view', 4, null, 1, null, null),
    // ada after 30 s, ben after 3600, cy after 10.
    row(2, 'signup', 3, 1, 0.75, 0.75, 30),
    row(3, 'purchase', 1, 2, 0.25, 1 / 3, 600),
  ]);
});

test('sessions, also those that name no user', async () => {
  expect(
    await asked({ steps: ['view', 'signup', 'purchase'], grain: 'session', ...SPRING }),
  ).toEqual([
    row(1, 'view', 5, null, 1, null, null),
    // a1 after 30 s, c1 after 10, e1 at once.
    row(2, 'signup', 3, 2, 0.6, 0.6, 10),
    row(3, 'purchase', 1, 2, 0.2, 1 / 3, 600),
  ]);
});

test('only the asked days count, both ends included', async () => {
  const found = await asked({
    ...{ steps: ['signup', 'signup'], grain: 'user' },
    ...{ from: '2024-03-04', to: '2024-03-05' },
  });
  expect(found).toEqual([
    row(1, 'signup', 4, null, 1, null, null),
    row(2, 'signup', 1, 3, 0.25, 0.25, 86_370),
  ]);
  const one = { from: '2024-04-01', to: '2024-04-01' };
  expect(await asked({ steps: ['signup', 'view'], grain: 'user', ...one })).toEqual([
    row(1, 'signup', 0, null, null, null, null),
    row(2, 'view', 0, 0, null, null, null),
  ]);
});

test('as many as twelve steps', async () => {
  const steps = ['view', ...Array.from({ length: 11 }, () => 'signup')];
  const found = (await asked({ steps, grain: 'user', ...SPRING })) as readonly {
    reached: number;
  }[];
  expect(found.map(({ reached }) => reached)).toEqual([4, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  await expect(asked({ steps: [...steps, 'view'], grain: 'user' })).rejects.toThrow(
    /two to twelve/,
  );
  await expect(asked({ steps: ['view'], grain: 'user' })).rejects.toThrow(/two to twelve/);
});

test('the same question of what shoppers do', async () => {
  expect(
    await asked({
      ...{ steps: ['view', 'purchase'], grain: 'session', domain: 'commerce' },
      ...SPRING,
    }),
  ).toEqual([
    // gil's purchase is in another session than the view, though they share an id.
    row(1, 'view', 6, null, 1, null, null),
    row(2, 'purchase', 2, 4, 1 / 3, 1 / 3, 317.5),
  ]);
});

/** How many of `actor` (0 user, 1 session) reach each step: the definition, event by event. */
function reached(steps: readonly string[], actor: 0 | 1, from: string, to: string) {
  const progress = new Map<string, number>();
  for (const event of SIMULATED) {
    const [name, type, day] = [event[actor], event[2], event[3].slice(0, 10)];
    if (name === null || day < from || day > to) continue;
    const next = progress.get(name) ?? 0;
    if (type === steps[next]) progress.set(name, next + 1);
  }
  return steps.map((_, n) => [...progress.values()].filter((done) => done > n).length);
}

test('a simulated site: the funnel shows on which days the sign-up broke', async () => {
  const steps = ['view', 'signup_start', 'signup', 'subscribe'];
  const { from, to } = world.planted.signupBug;
  const shares: number[] = [];
  for (const [first, last] of [
    [from, to],
    ['2026-10-01', '2026-11-10'],
    ['2026-10-01', '2026-11-20'],
  ] as const) {
    for (const grain of ['user', 'session'] as const) {
      const found = (await asked({ steps, grain, from: first, to: last })) as readonly {
        reached: number;
        share_of_previous: number;
      }[];
      expect(found.map((step) => step.reached)).toEqual(
        reached(steps, grain === 'user' ? 0 : 1, first, last),
      );
      if (grain === 'session') shares.push(found[2]?.share_of_previous as number);
    }
  }
  expect(shares[0]).toBeLessThan(0.4);
  expect(shares[1]).toBeGreaterThan(0.5);
});

test('a range that is none, or a domain without a funnel, is refused before it is asked', async () => {
  const steps = ['view', 'signup'];
  await expect(asked({ steps, grain: 'user', from: 'monday' })).rejects.toThrow(/no day/);
  await expect(asked({ steps, grain: 'user', from: '2026-02-31' })).rejects.toThrow(/no day/);
  await expect(
    asked({ steps, grain: 'user', from: '2024-03-05', to: '2024-03-04' }),
  ).rejects.toThrow(/lies after/);
  await expect(asked({ steps, grain: 'user', domain: 'email' })).rejects.toThrow(
    /website, commerce/,
  );
});
