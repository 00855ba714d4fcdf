import { type Answer, invalid, json } from './answer.ts';
import type { Fault } from './faults.ts';
import type { LimitSettings } from './limits.ts';
import type { Hubspot } from './state.ts';

type Raw = Readonly<Record<string, unknown>>;

/**
 * The test's side of the stand-in, `/_stand-in/...`; no token, no limits.
 * GET  stats | facts[?asOf=ms]
 * POST faults {faults} | faults/clear | events {events, visibleAt?} | contacts {changes}
 *      settings {latencyMs?, jitterMs?, limits?, offsetTtlMs?, token?} | expire-offsets | stats/reset
 *      spend {requests} | discrepancy {campaignId, counter, add}
 */
export function control(hubspot: Hubspot, method: string, target: string, body: string): Answer {
  const url = new URL(target, 'http://hubspot');
  let given: Raw;
  try {
    given = body === '' ? {} : (JSON.parse(body) as Raw);
  } catch {
    return invalid('the body is not JSON');
  }
  const done = json({ done: true });
  switch (`${method} ${url.pathname.replace('/_stand-in/', '')}`) {
    case 'GET stats':
      return json(hubspot.stats());
    case 'GET facts': {
      const asOf = url.searchParams.get('asOf');
      return json(hubspot.facts(asOf === null ? undefined : Number(asOf)) ?? null);
    }
    case 'POST faults':
      hubspot.faults.add(given['faults'] as readonly Fault[]);
      return done;
    case 'POST faults/clear':
      hubspot.faults.clear();
      return done;
    case 'POST events':
      hubspot.addEvents(
        given['events'] as readonly Raw[],
        given['visibleAt'] as number | undefined,
      );
      return done;
    case 'POST contacts':
      hubspot.changeContacts(given['changes'] as Parameters<Hubspot['changeContacts']>[0]);
      return done;
    case 'POST settings':
      if (given['latencyMs'] !== undefined) hubspot.latencyMs = Number(given['latencyMs']);
      if (given['jitterMs'] !== undefined) hubspot.jitterMs = Number(given['jitterMs']);
      if (given['offsetTtlMs'] !== undefined)
        hubspot.events.offsetTtlMs = Number(given['offsetTtlMs']);
      if (given['token'] !== undefined) hubspot.token = given['token'] as string | null;
      if (given['limits'] !== undefined)
        hubspot.limits.change(given['limits'] as Partial<LimitSettings>);
      return done;
    case 'POST expire-offsets':
      hubspot.events.expireOffsets();
      return done;
    case 'POST stats/reset':
      hubspot.resetStats();
      return done;
    case 'POST spend':
      hubspot.limits.spend(hubspot.now(), Number(given['requests']));
      return done;
    case 'POST discrepancy':
      hubspot.setDiscrepancy(
        String(given['campaignId']),
        String(given['counter']),
        Number(given['add']),
      );
      return done;
    default:
      return invalid(`no such control: ${method} ${url.pathname}`);
  }
}
