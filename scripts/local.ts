/** Starts the local cloud and stays. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { CannotStart, type Cloud, type CloudOptions, startCloud } from '../local/cloud.ts';
import { WrongSchedule } from '../local/scheduler.ts';
import { Unknown } from '../local/stack.ts';
import { fillShopWorld } from './demo_fill.ts';
import { Failure } from './failure.ts';
import { localFolder, root, toolsFolder } from './place.ts';
import { duration, say, step } from './progress.ts';
import { ensureSpark } from './setup.ts';
import { synth } from './synth.ts';

/** Where other commands look for the running cloud, whatever folder its state lies in. */
export const endpointsFile = join(localFolder, 'endpoints.json');

/** Builds, synthesises and starts the local cloud, and tells other commands where it is. */
export async function openCloud(
  options: Omit<CloudOptions, 'stack' | 'spark' | 'environment'>,
): Promise<Cloud> {
  // Local clients must not look for a metadata server that only Google's machines have.
  process.env['METADATA_SERVER_DETECTION'] = 'none';
  const spark = await ensureSpark();
  const files = await step('building functions and stack', () =>
    synth({ environments: ['local'] }),
  );
  const stack = files['local'];
  if (stack === undefined) throw new Failure('infra/environments has no environment "local"');
  const cloud = await step('starting the local cloud', () =>
    startCloud({ ...options, stack, spark, environment: process.env }),
  ).catch((error: unknown) => {
    const known =
      error instanceof CannotStart || error instanceof Unknown || error instanceof WrongSchedule;
    throw known ? new Failure(error.message, { cause: error }) : error;
  });
  // The launcher changes no packages under a running cloud.
  const running = join(toolsFolder, 'clouds', String(process.pid));
  await mkdir(join(toolsFolder, 'clouds'), { recursive: true });
  await mkdir(localFolder, { recursive: true });
  writeFileSync(running, `${cloud.endpoints.data}\n`);
  writeFileSync(endpointsFile, `${JSON.stringify(cloud.endpoints, null, 2)}\n`);
  return {
    ...cloud,
    close: async () => {
      await cloud.close();
      rmSync(running, { force: true });
      // Another cloud may have been started since, and be the one that is found now.
      if (foundPid() === process.pid) rmSync(endpointsFile, { force: true });
    },
  };
}

/** The process that other commands find. */
function foundPid(): number | null {
  try {
    return (JSON.parse(readFileSync(endpointsFile, 'utf8')) as { pid: number }).pid;
  } catch {
    return null;
  }
}

/** Resolves when somebody wants the program to end. */
export const interrupted = (): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve);
  });

/** Says where everything is, then stays until it is interrupted; stops in order. */
export async function stay(cloud: Cloud): Promise<void> {
  const until = interrupted();
  const { data, pid: _, buckets: __, functions, ...shown } = cloud.endpoints;
  for (const [name, value] of Object.entries({ ...shown, ...functions })) {
    process.stdout.write(`${name.padEnd(20)} ${value}\n`);
  }
  process.stdout.write(`${'state'.padEnd(20)} ${relative(root, data) || data}\n`);
  process.stdout.write('ready\n');
  await until;
  // A second Ctrl-C does not wait: everything is on disk at any time.
  const impatient = interrupted().then(() => process.exit(130));
  say('stopping');
  const begun = Date.now();
  await Promise.race([cloud.close(), impatient]);
  say(`stopped in ${duration(Date.now() - begun)}; the next start goes on from here`);
}

const wholeNumber = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('it must be a whole number');
  return Number(text);
};

const countedNumber = (text: string): number => (text === '0' ? 0 : wholeNumber(text));

interface LocalOptions {
  readonly data?: string;
  readonly fresh: boolean;
  readonly hubspotUrl?: string;
  readonly hubspotEvents?: string;
  readonly hubspotObjects?: string;
  readonly hubspotSize?: number;
  readonly shopSize: number;
  readonly ordersUrl?: string;
  readonly postgresUrl?: string;
  readonly quietSchedules: boolean;
}

export function declare(command: Command): void {
  command
    .option('--data <dir>', 'folder of the state (default: .local/cloud)')
    .option('--fresh', 'forget the state of earlier runs first', false)
    .option('--hubspot-url <url>', 'a HubSpot API instead of the stand-in')
    .option('--hubspot-events <file>', 'v1 events for the stand-in, NDJSON, one event a line')
    .option('--hubspot-objects <dir>', 'campaigns, emails, contacts, owners for the stand-in')
    .option('--hubspot-size <events>', 'about how many events the made-up account has', wholeNumber)
    .option(
      '--shop-size <events>',
      'about how much happens in the made-up shop; 0 = it is empty',
      countedNumber,
      600,
    )
    .option('--orders-url <url>', 'an orders API instead of the stand-in')
    .option('--postgres-url <url>', "a shop database instead of an own server's")
    .option('--quiet-schedules', 'schedules fire only by ./tributary tick', false)
    .addHelpText(
      'after',
      `
Starts what the synthesised stack declares, writes .local/endpoints.json and says "ready". Ctrl-C
stops it; nothing is lost, the next start goes on. The HubSpot token comes from HUBSPOT_TOKEN (the
stand-in takes any), the orders API's from ORDERS_API_TOKEN. A database's URL with its password is better
put into SHOP_DATABASE_URL than on the command line.

Examples:
  ./tributary local
  ./tributary local --data .try --fresh --quiet-schedules
  ./tributary local --hubspot-events events.ndjson --hubspot-objects objects/`,
    )
    .action(async (options: LocalOptions) => {
      const given = (path: string | undefined): string | undefined => {
        if (path !== undefined && !existsSync(path)) throw new Failure(`${path} is not there`);
        return path === undefined ? undefined : resolve(path);
      };
      const eventsFile = given(options.hubspotEvents);
      const objectsDir = given(options.hubspotObjects);
      if (options.hubspotUrl !== undefined && (eventsFile ?? objectsDir) !== undefined) {
        throw new Failure('--hubspot-url replaces the stand-in: it cannot be filled as well');
      }
      const scale = options.hubspotSize;
      const data = resolve(options.data ?? join(localFolder, 'cloud'));
      const isFirst = options.fresh || !existsSync(data);
      const { ordersUrl, postgresUrl = process.env['SHOP_DATABASE_URL'] } = options;
      const cloud = await openCloud({
        data,
        fresh: options.fresh,
        quietSchedules: options.quietSchedules,
        log: say,
        ...(ordersUrl === undefined ? {} : { orders: { url: ordersUrl } }),
        ...(postgresUrl === undefined ? {} : { postgres: { url: postgresUrl } }),
        hubspot: {
          ...(options.hubspotUrl === undefined ? {} : { url: options.hubspotUrl }),
          ...(eventsFile === undefined ? {} : { eventsFile }),
          ...(objectsDir === undefined ? {} : { objectsDir }),
          ...(scale === undefined ? {} : { scale }),
        },
      });
      // Once: what happened to the shop since is not undone by another start.
      if (isFirst && options.shopSize > 0) {
        await fillShopWorld(cloud, options.shopSize, Date.now());
      }
      await stay(cloud);
    });
}
