/**
 * The world outside of a local cloud: a stand-in for every service that its functions pull from,
 * unless another server was named for it.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type RunningHubspot, startHubspot } from './hubspot/server.ts';
import { type RunningOrders, startOrders } from './orders/server.ts';
import { type RunningPostgres, startPostgres } from './postgres/server.ts';
import { fillShop } from './postgres/shop.ts';

export type StandIn = 'hubspot' | 'orders' | 'postgres';

export interface OutsideOptions {
  readonly hubspot?: {
    /** Another server instead of the stand-in. */
    readonly url?: string;
    /** Data for the stand-in; without it a seeded account is made up. */
    readonly eventsFile?: string;
    readonly objectsDir?: string;
    readonly scale?: 'small' | 'medium' | 'large' | number;
    readonly seed?: number;
  };
  /** The orders API; without a url a stand-in, which is empty until somebody fills it. */
  readonly orders?: { readonly url?: string };
  /** The shop's database; without a connection URL an own, empty server. */
  readonly postgres?: { readonly url?: string };
  /** Which are started; default: all. Nobody answers for what is left out. */
  readonly standIns?: readonly StandIn[];
}

export interface Outside {
  readonly hubspot: RunningHubspot | null;
  readonly orders: RunningOrders | null;
  readonly postgres: RunningPostgres | null;
  readonly hubspotUrl: string;
  readonly ordersUrl: string;
  /** A connection URL with its password: for the secret, never for people to read. */
  readonly postgresUrl: string;
  close(): Promise<void>;
}

/** Refuses every connection: a local cloud never asks the real services by itself. */
const NOBODY = 'http://127.0.0.1:9';

export async function startOutside(
  options: OutsideOptions,
  own: {
    /** Folder of the cloud's state. */
    readonly data: string;
    /** The stand-ins' "today" when they were first filled, epoch ms. */
    readonly until: number;
  },
): Promise<Outside> {
  const wanted = new Set(options.standIns ?? ['hubspot', 'orders', 'postgres']);
  const started: { close(): Promise<void> }[] = [];
  const start = async <T extends { close(): Promise<void> }>(
    name: StandIn,
    elsewhere: string | undefined,
    begin: () => Promise<T>,
  ): Promise<T | null> => {
    if (!wanted.has(name) || elsewhere !== undefined) return null;
    const running = await begin();
    started.push(running);
    return running;
  };
  const close = async (): Promise<void> => {
    await Promise.all(started.splice(0).map((running) => running.close()));
  };
  try {
    const { url, eventsFile, objectsDir, scale = 'small', seed = 1 } = options.hubspot ?? {};
    const hubspot = await start('hubspot', url, () =>
      startHubspot({
        seed,
        // The same account after every start on this folder.
        until: own.until,
        scale,
        clock: Date.now,
        ...(eventsFile === undefined ? {} : { eventsFile }),
        ...(objectsDir === undefined ? {} : { objectsDir }),
      }),
    );
    const orders = await start('orders', options.orders?.url, () =>
      startOrders({ file: join(own.data, 'orders.ndjson'), clock: Date.now }),
    );
    const postgres = await start('postgres', options.postgres?.url, async () => {
      const running = await startPostgres({ folder: postgresFolder(own.data) });
      // Its tables are there from the start, as the contracts expect them.
      await fillShop(running.adminUrl, { products: [], users: [] });
      return running;
    });
    return {
      hubspot,
      orders,
      postgres,
      hubspotUrl: url ?? hubspot?.url ?? NOBODY,
      ordersUrl: options.orders?.url ?? orders?.url ?? NOBODY,
      postgresUrl: options.postgres?.url ?? postgres?.url ?? '',
      close,
    };
  } catch (fault) {
    await close();
    throw fault;
  }
}

/**
 * PostgreSQL refuses to run as root, so root runs it as somebody who must be able to reach its
 * folder; below a private home it cannot, and lies among the temporary files.
 */
export function postgresFolder(data: string): string {
  if (process.getuid?.() !== 0 || reachable(data)) return join(data, 'postgres');
  const name = createHash('sha256').update(data).digest('hex').slice(0, 12);
  return join(tmpdir(), `tributary-postgres-${name}`);
}

function reachable(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}
