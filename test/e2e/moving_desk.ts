/**
 * A help desk whose lists move while their pages are being read: tickets by the number of a page,
 * newest first, and calls by time, the oldest change first.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Ticket {
  readonly id: string;
  readonly agent: string;
  /** ISO 8601; each change is later than all before it. */
  readonly changed: string;
  /** Decimal. */
  readonly hours: string;
}

export interface Call {
  readonly id: string;
  readonly agent: string;
  readonly minutes: number;
  /** ISO 8601, of this machine's clock or, of calls that come together, a little later; no two are equal. */
  readonly updated_at: string;
}

export interface MovingDesk {
  readonly url: string;
  /** As they are now, newest first. */
  tickets(): readonly Ticket[];
  /** As they are now, the oldest change first. */
  calls(): readonly Call[];
  /** Adds so many tickets and calls. */
  open(count: number): void;
  /**
   * While it moves, between a page and the next one comes and the one that was changed the longest
   * ago changes. Of tickets both stand on the first page from then on, and all others move back. Of
   * calls both stand at the end, and all others move up.
   */
  move(moving: boolean): void;
  /** How often each list has moved while somebody was reading. */
  moves(): { readonly tickets: number; readonly calls: number };
  close(): void;
}

const PAGE = 2;

/** Pages of tickets after which these move: fewer than there are, or reading never ends. */
const MOVES_AFTER: readonly number[] = [1, 3, 5, 7];

/** Serves `/tickets?page=` from 1 and `/calls?updated_since=&limit=&cursor=`; who has no key is told so. */
export async function startDesk(): Promise<MovingDesk> {
  let tickets: readonly Ticket[] = [
    { id: 't3', agent: 'a1', changed: '2025-11-03T10:00:00Z', hours: '2.25' },
    { id: 't2', agent: 'a2', changed: '2025-11-02T10:00:00Z', hours: '0.25' },
    { id: 't1', agent: 'a1', changed: '2025-11-01T10:00:00Z', hours: '1.50' },
  ];
  let calls: readonly Call[] = [];
  let lastTicketAt = Date.parse('2025-11-04T00:00:00Z');
  let lastCallAt = 0;
  let moving = false;
  const moves = { tickets: 0, calls: 0 };

  const putTicket = (ticket: Omit<Ticket, 'changed'>): void => {
    lastTicketAt += 1_000;
    const others = tickets.filter(({ id }) => id !== ticket.id);
    tickets = [{ ...ticket, changed: new Date(lastTicketAt).toISOString() }, ...others];
  };
  const putCall = (call: Omit<Call, 'updated_at'>): void => {
    lastCallAt = Math.max(lastCallAt + 1, Date.now());
    const others = calls.filter(({ id }) => id !== call.id);
    calls = [...others, { ...call, updated_at: new Date(lastCallAt).toISOString() }];
  };
  const openTicket = (): void => {
    const number = tickets.length + 1;
    const hours = ((number % 7) / 4 + 0.25).toFixed(2);
    putTicket({ id: `t${number}`, agent: `a${(number % 3) + 1}`, hours });
  };
  const openCall = (): void => {
    const number = calls.length + 1;
    putCall({ id: `c${number}`, agent: `a${(number % 3) + 1}`, minutes: number });
  };
  const moveTickets = (): void => {
    moves.tickets += 1;
    const oldest = tickets.at(-1) as Ticket;
    putTicket({ ...oldest, hours: (Number(oldest.hours) + 0.25).toFixed(2) });
    openTicket();
  };
  const moveCalls = (served: Call): void => {
    moves.calls += 1;
    putCall({ ...served, minutes: served.minutes + 1_000 });
    openCall();
  };

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://desk');
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    if (request.headers['x-desk-key'] === undefined) return answer(401, { error: 'no key' });
    if (pathname === '/tickets') {
      const page = Number(searchParams.get('page'));
      answer(200, { tickets: tickets.slice((page - 1) * PAGE, page * PAGE) });
      if (moving && MOVES_AFTER.includes(page)) moveTickets();
      return;
    }
    const since = Date.parse(searchParams.get('updated_since') ?? '');
    const begin = Number(searchParams.get('cursor') ?? 0);
    const end = begin + Number(searchParams.get('limit'));
    const found = calls.filter(({ updated_at }) => Date.parse(updated_at) >= since);
    const page = found.slice(begin, end);
    const next = end < found.length ? String(end) : null;
    answer(200, { calls: page, next_cursor: next });
    if (moving && next !== null) moveCalls(page[0] as Call);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  openCall();
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tickets: () => tickets,
    calls: () => calls,
    open: (count) => {
      for (let n = 0; n < count; n += 1) {
        openTicket();
        openCall();
      }
    },
    move: (now) => {
      moving = now;
    },
    moves: () => moves,
    close: () => server.close(),
  };
}
