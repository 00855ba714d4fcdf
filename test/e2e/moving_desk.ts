/** A help desk whose list of tickets, newest first, moves while its pages are being read. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Ticket {
  readonly id: string;
  readonly agent: string;
  /** ISO 8601; each change is later than all before it. */
  readonly changed: string;
  /** Hours, decimal. */
  readonly hours: string;
}

export interface MovingDesk {
  readonly url: string;
  /** As they are now, newest first. */
  tickets(): readonly Ticket[];
  /** Puts new tickets in front. */
  open(count: number): void;
  /**
   * While it moves, a ticket comes and the oldest one changes between a page and the next: both
   * stand on the first page from then on, and all others move back.
   */
  move(moving: boolean): void;
  /** How often it has moved while somebody was reading. */
  moves(): number;
  close(): void;
}

const PAGE = 2;

/** Of one reading, the pages after which the list moves: fewer than it has, or reading never ends. */
const MOVES_AFTER: readonly number[] = [1, 3, 5, 7];

/** Serves `/tickets?page=N` from 1; whoever has no key is told so. */
export async function startDesk(): Promise<MovingDesk> {
  let list: readonly Ticket[] = [
    { id: 't3', agent: 'a1', changed: '2025-11-03T10:00:00Z', hours: '2.25' },
    { id: 't2', agent: 'a2', changed: '2025-11-02T10:00:00Z', hours: '0.25' },
    { id: 't1', agent: 'a1', changed: '2025-11-01T10:00:00Z', hours: '1.50' },
  ];
  let changes = 0;
  let moving = false;
  let moves = 0;
  const change = (ticket: Omit<Ticket, 'changed'>): Ticket => {
    changes += 1;
    const changed = new Date(Date.UTC(2025, 10, 4) + changes * 1_000).toISOString();
    return { ...ticket, changed };
  };
  const open = (): void => {
    const number = list.length + 1;
    const hours = ((number % 7) / 4 + 0.25).toFixed(2);
    list = [change({ id: `t${number}`, agent: `a${(number % 3) + 1}`, hours }), ...list];
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://desk');
    const allowed = request.headers['x-desk-key'] !== undefined;
    const page = Number(url.searchParams.get('page'));
    const tickets = list.slice((page - 1) * PAGE, page * PAGE);
    response.writeHead(allowed ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(allowed ? { tickets } : { error: 'no key' }));
    if (!moving || !MOVES_AFTER.includes(page)) return;
    moves += 1;
    const oldest = list.at(-1) as Ticket;
    const hours = (Number(oldest.hours) + 0.25).toFixed(2);
    list = [change({ ...oldest, hours }), ...list.slice(0, -1)];
    open();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tickets: () => list,
    open: (count) => {
      for (let n = 0; n < count; n += 1) open();
    },
    move: (now) => {
      moving = now;
    },
    moves: () => moves,
    close: () => server.close(),
  };
}
