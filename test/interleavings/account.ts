/**
 * The HubSpot account: what happened, when it became visible, how it was changed afterwards; and
 * the v1 events endpoint over it (newest first, both ends inclusive, opaque offsets). The log is
 * what the oracle is computed from.
 */
import type { Fetch, HttpAnswer } from '../../functions/world.ts';
import type { Process, Simulation } from './simulation.ts';

interface Happened {
  readonly id: string;
  /** Epoch milliseconds. */
  readonly created: number;
  readonly type: string;
  /** For an OPEN: its send. */
  readonly sentBy?: { readonly id: string; readonly created: number };
  /** When the endpoint begins to show it. */
  readonly visible: number;
  /** When a DROPPED obsoletes this SENT. */
  readonly obsoleted: number | null;
  /** A record that breaks the job, not just the record's own contract. */
  readonly poison: boolean;
  /** No answer with it is JSON. */
  readonly garbled?: boolean;
}

export const DAY_MS = 24 * 3600_000;

export const json = (status: number, body: unknown): HttpAnswer => ({
  status,
  headers: {
    'content-type': 'application/json',
    'x-hubspot-ratelimit-max': '190',
    'x-hubspot-ratelimit-remaining': '150',
    'x-hubspot-ratelimit-interval-milliseconds': '10000',
    'x-hubspot-ratelimit-daily': '1000000',
    'x-hubspot-ratelimit-daily-remaining': '900000',
  },
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
});

export class Account {
  readonly log: Happened[] = [];
  /** Scenarios: another answer than the account's; null = the account's. */
  answers: (url: URL, process: Process) => HttpAnswer | null = () => null;
  /** Milliseconds that an answer takes beyond the network's own. */
  slowness: (url: URL) => number = () => 0;
  readonly #simulation: Simulation;
  readonly #page: number;
  readonly #asked: { readonly refusing: () => boolean };

  constructor(
    simulation: Simulation,
    options: { readonly page: number; readonly refusing: () => boolean },
  ) {
    this.#simulation = simulation;
    this.#page = options.page;
    this.#asked = { refusing: options.refusing };
  }

  /** Fills the account: a history before `from`, then events until `to`. */
  fill(options: {
    readonly events: number;
    readonly historyDays: number;
    readonly from: number;
    readonly to: number;
    /** Longest time between an event and its appearance. */
    readonly lateness: number;
    readonly poison: number;
    readonly garbled: number;
  }): void {
    const { random } = this.#simulation;
    const begin = options.from - options.historyDays * DAY_MS;
    const sends: Happened[] = [];
    for (let i = 0; i < options.events; i += 1) {
      const old = i < options.events / 2;
      // Whole seconds here and there: several events of one instant lie across pages.
      const at = old
        ? random.between(begin, options.from)
        : random.between(options.from, options.to);
      const created = random.chance(0.3) ? Math.floor(at / 60_000) * 60_000 : Math.floor(at);
      const send = sends.length > 0 && random.chance(0.55) ? random.pick(sends) : null;
      const slow = random.chance(0.15) ? options.lateness : Math.min(60_000, options.lateness);
      const late = random.between(0, slow);
      const visible = created + late;
      const obsoleted =
        send === null && random.chance(0.1) ? visible + random.between(0, options.lateness) : null;
      const event: Happened = {
        id: `e${i}`,
        created: send === null ? created : Math.max(created, send.created),
        type: send === null ? 'SENT' : random.pick(['OPEN', 'OPEN', 'CLICK', 'DELIVERED']),
        ...(send === null ? {} : { sentBy: { id: send.id, created: send.created } }),
        visible: Math.max(visible, send?.created ?? 0),
        obsoleted,
        poison: i >= options.events - options.poison,
        ...(i < options.garbled ? { garbled: true } : {}),
      };
      this.log.push(event);
      if (event.type === 'SENT') sends.push(event);
    }
    this.log.sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
  }

  /** The event as the endpoint writes it at that instant. */
  text(event: Happened, now: number): string {
    const text = JSON.stringify({
      id: event.id,
      created: event.created,
      type: event.type,
      recipient: `${event.id}@example.com`,
      ...(event.sentBy === undefined ? {} : { sentBy: event.sentBy }),
      ...(event.obsoleted !== null && event.obsoleted <= now
        ? { obsoletedBy: { id: `${event.id}-drop`, created: event.created } }
        : {}),
      ...(event.poison ? { poison: true } : {}),
    });
    return event.garbled === true ? `${text.slice(0, -1)},"note":"\\x"}` : text;
  }

  fetch(process: Process): Fetch {
    const simulation = this.#simulation;
    return ({ url, timeoutMs }) =>
      new Promise((resolve, reject) => {
        const asked = simulation.call(
          process,
          'hubspot',
          'get',
          url.replace(/^https?:\/\/[^/]+/, ''),
          () => this.answers(new URL(url), process) ?? this.#answer(new URL(url)),
        );
        const slow = this.slowness(new URL(url));
        let settled = false;
        simulation.after(timeoutMs, () => {
          if (settled || !process.alive) return;
          settled = true;
          reject(new Error('timed out'));
        });
        asked.then(
          async (answer) => {
            if (slow > 0) await simulation.sleep(process, slow);
            if (!settled) resolve(answer);
            settled = true;
          },
          (error: unknown) => {
            if (!settled) reject(error);
            settled = true;
          },
        );
      });
  }

  #answer(url: URL): HttpAnswer {
    const { random, now } = this.#simulation;
    if (this.#asked.refusing() && random.chance(0.2)) {
      // A scope that is missing for a while: what was read until then is a piece.
      if (random.chance(0.1)) return json(403, { category: 'MISSING_SCOPES' });
      return random.chance(0.5)
        ? json(429, { status: 'error', policyName: 'TEN_SECONDLY_ROLLING', message: 'slow down' })
        : json(502, { status: 'error', message: 'bad gateway' });
    }
    const at = (name: string): string => url.searchParams.get(name) ?? '';
    const from = Number(at('startTimestamp') || 0);
    const to = Number(at('endTimestamp') || Number.MAX_SAFE_INTEGER);
    const limit = Math.min(Number(at('limit') || 10), this.#page);
    const shown = this.log.filter(
      (event) => event.created >= from && event.created <= to && event.visible <= now,
    );
    const [created = '', id = ''] = Buffer.from(at('offset'), 'base64').toString().split('|');
    const begin =
      at('offset') === ''
        ? 0
        : shown.findIndex(
            (event) =>
              event.created < Number(created) ||
              (event.created === Number(created) && event.id < id),
          );
    const page = begin < 0 ? [] : shown.slice(begin, begin + limit);
    const last = page.at(-1);
    const more = begin >= 0 && begin + limit < shown.length;
    const offset =
      last === undefined ? '' : Buffer.from(`${last.created}|${last.id}`).toString('base64');
    const events = page.map((event) => this.text(event, now)).join(',');
    return json(200, `{"events":[${events}],"hasMore":${more},"offset":${JSON.stringify(offset)}}`);
  }
}
