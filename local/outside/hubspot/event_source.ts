/** What the query parameters of `/email/public/v1/events` can ask about one event. */
export interface EventMeta {
  readonly id: string;
  readonly type: string | undefined;
  readonly campaignId: string | undefined;
  readonly appId: string | undefined;
  readonly recipient: string | undefined;
  readonly filtered: boolean;
}

/** Events in ascending order of `created` (ms), addressed by position. */
export interface EventSource {
  readonly size: number;
  created(position: number): number;
  /** When HubSpot's index shows it: `created`, or later. */
  visibleAt(position: number): number;
  meta(position: number): EventMeta;
  /** The event as JSON. `now` matters: a SENT gains `obsoletedBy` once it is void. */
  text(position: number, now: number): string;
}

/** The first position whose `created` is at least `at`. */
export function firstFrom(source: EventSource, at: number): number {
  let low = 0;
  let high = source.size;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (source.created(middle) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Counters of a campaign, as `/email/public/v1/campaigns/{id}` shows them. */
export type Counters = Record<string, number>;

const NAMES: Readonly<Record<string, string>> = {
  SENT: 'sent',
  DELIVERED: 'delivered',
  OPEN: 'open',
  CLICK: 'click',
  BOUNCE: 'bounce',
  DROPPED: 'dropped',
  MTA_DROPPED: 'mta_dropped',
  DEFERRED: 'deferred',
  PROCESSED: 'processed',
  STATUSCHANGE: 'statuschange',
  SUPPRESSED: 'suppressed',
  SUPPRESSION: 'suppressed',
  FORWARD: 'forward',
  PRINT: 'print',
  SPAMREPORT: 'spamreport',
};

/** Counts one event: every event of a type, a void SENT left out; unknown types have no counter. */
export function count(
  counters: Counters,
  event: {
    readonly type: string | undefined;
    readonly obsolete: boolean;
    readonly unsubscribes: boolean;
  },
): void {
  const name = event.type === undefined ? undefined : NAMES[event.type];
  if (name === undefined || event.obsolete) return;
  counters[name] = (counters[name] ?? 0) + 1;
  if (event.unsubscribes) counters['unsubscribed'] = (counters['unsubscribed'] ?? 0) + 1;
}
