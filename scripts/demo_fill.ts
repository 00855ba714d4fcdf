/** What a demo's domains are filled with: made-up worlds, the same ones that tests look into. */
import { addWindows } from '../functions/pull.ts';
import { isPulled } from '../functions/settings.ts';
import type { Cloud } from '../local/cloud.ts';
import { fillShop } from '../local/outside/postgres/shop.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { say } from './progress.ts';
import { backfill, pull } from './pull.ts';
import { simulate } from './simulate.ts';
import { sourceNamed, type Target } from './target.ts';

export type Scale = 'small' | 'medium' | 'large';

/** About how many events each domain's world has. */
export const scales: Readonly<Record<string, Readonly<Record<Scale, number>>>> = {
  email: { small: 5_000, medium: 100_000, large: 1_000_000 },
  commerce: { small: 600, medium: 60_000, large: 600_000 },
  website: { small: 4_000, medium: 60_000, large: 600_000 },
};

export const SEED = 1;

/** The email account's history; schedules alone would read the last 30 days of it. */
const HISTORY_DAYS = 120;
const DAY_MS = 86_400_000;

/** Worlds end with the day: whoever looks again gets the same one. */
export const worldsEnd = (now: number): number => Math.floor(now / DAY_MS) * DAY_MS;

/** Fills a domain's sources and has them pulled; resolves when everything is on its way. */
export async function fill(
  domain: string,
  cloud: Cloud,
  target: Target,
  options: { readonly scale: Scale; readonly now: number },
): Promise<void> {
  const events = scales[domain]?.[options.scale] ?? 0;
  if (domain === 'commerce') await fillShopWorld(cloud, events, options.now);
  if (domain === 'commerce' || domain === 'website') {
    say(`${domain}: publishing ${events.toLocaleString('en')} events`);
    await simulate(
      { domain, seed: SEED, scale: events, until: worldsEnd(options.now) },
      { projectId: target.config.project, apiEndpoint: cloud.endpoints.pubsub_grpc },
    );
  }
  await pullAll(target, domain, options.now);
}

/** Gives the stand-ins of the orders API and the database a made-up shop's rows. */
export async function fillShopWorld(cloud: Cloud, scale: number, now: number): Promise<void> {
  const { shopWorld } = await import('../local/outside/shop/world.ts');
  const world = shopWorld({ seed: SEED, scale, until: worldsEnd(now) });
  const { orders, postgres } = cloud.outside;
  orders?.insert([...world.orders()]);
  if (postgres !== null) {
    await fillShop(postgres.adminUrl, { products: world.products, users: world.users });
  }
}

/** Asks for everything there is of a domain: the newest by its schedules, older ranges on top. */
async function pullAll(target: Target, domain: string, now: number): Promise<void> {
  for (const [name, { arrives }] of Object.entries(catalog.sources)) {
    if (!name.startsWith(`${domain}.`) || !isPulled(arrives)) continue;
    if (arrives.kind === 'hubspot_email_events') {
      const instant = (days: number): string => new Date(now - days * DAY_MS).toISOString();
      const windows = backfill(name, instant(HISTORY_DAYS), instant(arrives.first_days), now);
      await addWindows(target.world, target.config, sourceNamed(name), windows);
    }
    await pull(target, name);
  }
}
