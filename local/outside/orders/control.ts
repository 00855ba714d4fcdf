import { type Answer, json, refusal } from './answer.ts';
import type { OrderRow } from './book.ts';
import type { Fault } from './faults.ts';
import type { Orders } from './state.ts';

/**
 * The test's side of the stand-in, `/_stand-in/...`; no token, no limits.
 * GET  stats | orders
 * POST orders {rows, visibleAt?} | update {key, changes} | remove {key}
 *      faults {faults} | faults/clear | settings {latencyMs?, perMinute?, token?}
 * @param added is told of rows that came in
 */
export function control(
  orders: Orders,
  method: string,
  target: string,
  body: string,
  added: (rows: readonly OrderRow[]) => void,
): Answer {
  const url = new URL(target, 'http://orders');
  let given: Readonly<Record<string, unknown>>;
  try {
    given = body === '' ? {} : (JSON.parse(body) as typeof given);
  } catch {
    return refusal(400, 'the body is not JSON');
  }
  const done = json({ done: true });
  try {
    switch (`${method} ${url.pathname.replace('/_stand-in/', '')}`) {
      case 'GET stats':
        return json(orders.stats());
      case 'GET orders':
        orders.book.advance(orders.now());
        return json({ orders: orders.book.rows() });
      case 'POST orders': {
        const rows = given['rows'] as readonly OrderRow[];
        orders.insert(rows, given['visibleAt'] as number | undefined);
        added(rows);
        return done;
      }
      case 'POST update': {
        const key = String(given['key']);
        orders.update(key, given['changes'] as Partial<OrderRow>);
        added([orders.book.get(key) as OrderRow]);
        return done;
      }
      case 'POST remove':
        orders.book.remove(String(given['key']));
        return done;
      case 'POST faults':
        orders.faults.add(given['faults'] as readonly Fault[]);
        return done;
      case 'POST faults/clear':
        orders.faults.clear();
        return done;
      case 'POST settings':
        if (given['latencyMs'] !== undefined) orders.latencyMs = Number(given['latencyMs']);
        if (given['perMinute'] !== undefined) orders.perMinute = Number(given['perMinute']);
        if (given['token'] !== undefined) orders.token = given['token'] as string | null;
        return done;
      default:
        return refusal(404, `no such control: ${method} ${url.pathname}`);
    }
  } catch (fault) {
    return refusal(400, fault instanceof Error ? fault.message : String(fault));
  }
}
