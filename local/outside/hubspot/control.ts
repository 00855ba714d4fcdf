import type { Controls } from '../http/control.ts';
import type { LimitSettings } from './limits.ts';
import type { Hubspot } from './state.ts';

/**
 * What a test may do besides faults and stats.
 * GET  facts[?asOf=ms]
 * POST events {events, visibleAt?} | contacts {changes} | expire-offsets | spend {requests}
 *      settings {latencyMs?, jitterMs?, limits?, offsetTtlMs?, token?}
 *      discrepancy {campaignId, counter, add}
 */
export function hubspotControls(hubspot: Hubspot): Controls {
  return {
    'GET facts': (_, query) => {
      const asOf = query.get('asOf');
      return hubspot.facts(asOf === null ? undefined : Number(asOf)) ?? null;
    },
    'POST events': ({ events, visibleAt }) =>
      hubspot.addEvents(
        events as Parameters<Hubspot['addEvents']>[0],
        visibleAt as number | undefined,
      ),
    'POST contacts': ({ changes }) =>
      hubspot.changeContacts(changes as Parameters<Hubspot['changeContacts']>[0]),
    'POST settings': ({ latencyMs, jitterMs, offsetTtlMs, token, limits }) => {
      if (latencyMs !== undefined) hubspot.latencyMs = Number(latencyMs);
      if (jitterMs !== undefined) hubspot.jitterMs = Number(jitterMs);
      if (offsetTtlMs !== undefined) hubspot.events.offsetTtlMs = Number(offsetTtlMs);
      if (token !== undefined) hubspot.token = token as string | null;
      if (limits !== undefined) hubspot.limits.change(limits as Partial<LimitSettings>);
    },
    'POST expire-offsets': () => hubspot.events.expireOffsets(),
    'POST spend': ({ requests }) => hubspot.limits.spend(hubspot.now(), Number(requests)),
    'POST discrepancy': ({ campaignId, counter, add }) =>
      hubspot.setDiscrepancy(String(campaignId), String(counter), Number(add)),
  };
}
