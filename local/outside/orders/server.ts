/**
 * A stand-in for the shop's orders API at 127.0.0.1:
 *   GET /orders?updated_since=<ISO 8601>&limit=500&cursor=<opaque>    Authorization: Bearer <token>
 *   {"orders":[{"order_id","product_id","user_id","date","updated_at","quantity","price","status"}, ...],
 *    "next_cursor":"..."|null}
 * Oldest update first, `updated_since` inclusive; 429 with Retry-After. Rows come from a list, from
 * a file of one JSON object a line, or in through `insert` and `/_stand-in/orders` (control.ts).
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Stats } from '../http/requests.ts';
import { serveStandIn } from '../http/server.ts';
import type { OrderRow } from './book.ts';
import { ordersControls } from './control.ts';
import type { Fault } from './faults.ts';
import { Orders, type OrdersOptions } from './state.ts';

export interface OrdersServerOptions extends Omit<OrdersOptions, 'clock'> {
  /** 0 = any free one. */
  readonly port?: number;
  /** Now in ms; default: the machine's. */
  readonly clock?: () => number;
  /** Rows of earlier starts, one JSON object a line; what comes in is added to it. */
  readonly file?: string;
}

export interface RunningOrders {
  readonly url: string;
  /** The shop itself, for tests in the same process. */
  readonly orders: Orders;
  /** Adds versions of order lines; each appears at its `updated_at`, or at `visibleAt` (ms). */
  insert(rows: readonly OrderRow[], visibleAt?: number): void;
  /** Changes the line `<order_id>:<order_line_id or product_id>`, now. */
  update(key: string, changes: Partial<OrderRow>): void;
  fail(faults: readonly Fault[]): void;
  stats(): Stats;
  close(): Promise<void>;
}

/** Starts the stand-in. Rejects when the port is taken or the file cannot be read. */
export async function startOrders(options: OrdersServerOptions = {}): Promise<RunningOrders> {
  const { file } = options;
  const kept = file !== undefined && existsSync(file) ? rowsIn(file) : [];
  const orders = new Orders({
    ...options,
    clock: options.clock ?? Date.now,
    rows: [...kept, ...(options.rows ?? [])],
  });
  const keep = (rows: readonly OrderRow[]): void => {
    if (file === undefined || rows.length === 0) return;
    mkdirSync(dirname(file), { recursive: true });
    appendFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  };
  const { url, close } = await serveStandIn(orders, ordersControls(orders, keep), options.port);
  return {
    url,
    orders,
    insert(rows, visibleAt) {
      orders.insert(rows, visibleAt);
      keep(rows);
    },
    update(key, changes) {
      orders.update(key, changes);
      keep([orders.book.get(key) as OrderRow]);
    },
    fail: (faults) => orders.faults.add(faults),
    stats: () => orders.stats(),
    close,
  };
}

/** A last line without its end was being written when the process stopped: nobody was told of it. */
function rowsIn(file: string): readonly OrderRow[] {
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) truncateSync(file, Buffer.byteLength(whole));
  return whole
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as OrderRow);
}
