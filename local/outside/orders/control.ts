import type { Controls } from '../http/control.ts';
import type { OrderRow } from './book.ts';
import type { Orders } from './state.ts';

/**
 * What a test may do besides faults and stats.
 * GET  orders
 * POST orders {rows, visibleAt?} | update {key, changes} | remove {key}
 *      settings {latencyMs?, perMinute?, token?}
 * @param added is told of rows that came in
 */
export function ordersControls(
  orders: Orders,
  added: (rows: readonly OrderRow[]) => void,
): Controls {
  return {
    'GET orders': () => {
      orders.book.advance(orders.now());
      return { orders: orders.book.rows() };
    },
    'POST orders': (given) => {
      const rows = given['rows'] as readonly OrderRow[];
      orders.insert(rows, given['visibleAt'] as number | undefined);
      added(rows);
    },
    'POST update': (given) => {
      const key = String(given['key']);
      orders.update(key, given['changes'] as Partial<OrderRow>);
      added([orders.book.get(key) as OrderRow]);
    },
    'POST remove': ({ key }) => orders.book.remove(String(key)),
    'POST settings': ({ latencyMs, perMinute, token }) => {
      if (latencyMs !== undefined) orders.latencyMs = Number(latencyMs);
      if (perMinute !== undefined) orders.perMinute = Number(perMinute);
      if (token !== undefined) orders.token = token as string | null;
    },
  };
}
