/** Asking for work on a source: the same message that its schedule publishes. */
import { catalog } from '../schemas/rendered/catalog.ts';
import { Permanent } from './errors.ts';
import { functionOf } from './settings.ts';
import type { World } from './world.ts';

/**
 * Has the function that takes in a source begin a slice of work.
 * @param continues a slice that ended with work left asks for the next one; a number tells how
 *   many have followed each other so
 * @param options.dead_letters takes in what a drained subscription has given up
 * @throws Permanent `unknown_source`
 */
export async function tickSource(
  world: Pick<World, 'queue'>,
  source: string,
  options: { readonly continues?: true | number; readonly dead_letters?: true } = {},
): Promise<void> {
  const contract = catalog.sources[source];
  if (contract === undefined) {
    throw new Permanent({ code: 'unknown_source', message: `no source is called "${source}"` });
  }
  const data = Buffer.from(JSON.stringify({ source, ...options }));
  await world.queue.publish(functionOf(contract.arrives), { data });
}
