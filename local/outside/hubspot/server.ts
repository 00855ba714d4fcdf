/**
 * A stand-in for HubSpot's API at 127.0.0.1, for everything Tributary asks of HubSpot: v1 email
 * events and campaigns, marketing emails, contacts, owners, usage; with its limits and refusals.
 *
 * Data: a seeded account (see seeded.ts), or given files, one JSON object a line:
 *   --hubspot-events FILE    v1 events as `/email/public/v1/events` returns them; only `created`
 *                            (ms) is required. Served byte for byte.
 *   --hubspot-objects DIR    contacts.ndjson          {id, properties, createdAt, updatedAt, archived, archivedAt?}
 *                            campaigns.ndjson         v1 campaigns; without `counters` they are counted from the events
 *                            marketing_emails.ndjson  v3 marketing emails
 *                            owners.ndjson            v3 owners with `teams`
 * Given either, nothing is made up: what is not given is empty.
 */
import { serveStandIn } from '../http/server.ts';
import { hubspotControls } from './control.ts';
import { Hubspot, type HubspotOptions } from './state.ts';

export interface HubspotServerOptions extends Omit<HubspotOptions, 'clock'> {
  /** 0 = any free one. */
  readonly port?: number;
  /** Now in ms; without it the clock starts at `until` and runs on. */
  readonly clock?: () => number;
}

export interface RunningHubspot {
  readonly url: string;
  /** The account itself, for tests in the same process. */
  readonly hubspot: Hubspot;
  close(): Promise<void>;
}

/** Starts the stand-in. Rejects when the port is taken or given data cannot be read. */
export async function startHubspot(options: HubspotServerOptions): Promise<RunningHubspot> {
  const started = performance.now();
  const clock = options.clock ?? (() => Math.floor(options.until + performance.now() - started));
  const hubspot = new Hubspot({ ...options, clock });
  const { url, close } = await serveStandIn(hubspot, hubspotControls(hubspot), options.port);
  return { url, hubspot, close };
}
