/** The pipeline a command acts on: the running local cloud, or a deployed environment. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { googleRest, type Rest } from '../functions/clients/google_rest.ts';
import { bigqueryClient } from '../functions/clients/warehouse.ts';
import { deployedWorld } from '../functions/clients/world.ts';
import type { Config } from '../functions/config.ts';
import type { World } from '../functions/world.ts';
import type { CloudEndpoints } from '../local/cloud.ts';
import { processIdentity } from '../local/process_identity.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { Failure } from './failure.ts';
import { localFolder } from './place.ts';

export interface TargetOptions {
  readonly env?: string;
  readonly data?: string;
}

export interface Target {
  /** `local`, or the environment's name. */
  readonly name: string;
  readonly config: Config;
  readonly world: World;
  /** The official client, for what people ask. */
  bigquery(): ReturnType<typeof bigqueryClient>;
  /** Fires a schedule now; schedules and messages by their REST APIs. */
  readonly schedules: {
    list(): Promise<readonly { readonly name: string; readonly paused: boolean }[]>;
    run(name: string): Promise<void>;
  };
  /** Unacknowledged messages by subscription (short name). */
  backlog(): Promise<ReadonlyMap<string, number>>;
}

/** Options of every command that acts on a pipeline. */
export const withTarget = (command: Command): Command =>
  command
    .option(
      '--env <name>',
      'a deployed environment of infra/environments, instead of the local one',
    )
    .option('--data <dir>', 'the local cloud whose state lies in this folder');

interface Place {
  readonly name: string;
  readonly project: string;
  readonly region: string;
  readonly location: string;
  readonly buckets: Config['buckets'];
  readonly endpoints: Config['endpoints'] & {
    readonly scheduler?: string;
    readonly monitoring?: string;
  };
}

/** @throws Failure when no local cloud runs, or no environment has the name */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const place = options.env === undefined ? localPlace(options) : await deployedPlace(options.env);
  const { name, project, region, location, endpoints, buckets } = place;
  const config: Config = {
    project,
    region,
    location,
    environment: name,
    buckets,
    hubspot: { url: '', secret: '', dailyShare: 1 },
    api: { url: '', secret: '' },
    database: { secret: '' },
    collect: null,
    spark: null,
    endpoints,
  };
  const world = deployedWorld(config);
  const scheduler = endpoints.scheduler ?? 'https://cloudscheduler.googleapis.com';
  const monitoring = endpoints.monitoring ?? 'https://monitoring.googleapis.com';
  const jobs = `${scheduler}/v1/projects/${project}/locations/${region}/jobs`;
  return {
    name,
    config,
    world: { ...world, log: () => {} },
    bigquery: () =>
      bigqueryClient({
        projectId: project,
        location,
        ...(endpoints.bigquery === undefined ? {} : { apiEndpoint: endpoints.bigquery }),
      }),
    schedules: {
      list: async () => {
        const answer = (await googleRest({ method: 'GET', url: `${jobs}?pageSize=500` })) as {
          jobs?: { name: string; state: string }[];
        };
        return (answer.jobs ?? []).map((job) => ({
          name: job.name.split('/').at(-1) ?? job.name,
          paused: job.state !== 'ENABLED',
        }));
      },
      run: async (schedule) => {
        await googleRest({ method: 'POST', url: `${jobs}/${schedule}:run`, body: {} });
      },
    },
    backlog: () => backlog(googleRest, `${monitoring}/v3/projects/${project}/timeSeries`),
  };
}

/** The newest count of each subscription, as Cloud Monitoring has it: some minutes old there. */
async function backlog(rest: Rest, url: string): Promise<ReadonlyMap<string, number>> {
  const now = Date.now();
  const query = new URLSearchParams({
    filter: 'metric.type = "pubsub.googleapis.com/subscription/num_undelivered_messages"',
    'interval.startTime': new Date(now - 10 * 60_000).toISOString(),
    'interval.endTime': new Date(now).toISOString(),
  });
  const answer = (await rest({ method: 'GET', url: `${url}?${query}` })) as {
    timeSeries?: {
      resource: { labels: { subscription_id: string } };
      points: { value: { int64Value: string } }[];
    }[];
  };
  return new Map(
    (answer.timeSeries ?? []).map(({ resource, points }) => [
      resource.labels.subscription_id,
      Number(points[0]?.value.int64Value ?? 0),
    ]),
  );
}

/** Reads where the local cloud is. @throws Failure when none runs */
export function localEndpoints(options: TargetOptions): CloudEndpoints {
  const file = join(
    options.data === undefined ? localFolder : resolve(options.data),
    'endpoints.json',
  );
  let found: CloudEndpoints;
  try {
    found = JSON.parse(readFileSync(file, 'utf8')) as CloudEndpoints;
    if (processIdentity(found.pid) === null) throw new Error('it was killed');
  } catch {
    throw new Failure(
      'no local cloud is running: start one with ./tributary local, or name a deployed environment with --env',
    );
  }
  return found;
}

function localPlace(options: TargetOptions): Place {
  const found = localEndpoints(options);
  // Local clients must not look for a metadata server that only Google's machines have.
  process.env['METADATA_SERVER_DETECTION'] = 'none';
  const bucket = (purpose: string): string => found.buckets[purpose] ?? '';
  return {
    name: 'local',
    project: found.project,
    region: found.region,
    location: found.location,
    buckets: {
      bronze: bucket('bronze'),
      control: bucket('control'),
      lake: bucket('lake'),
      rejected: bucket('rejected'),
      inbox: bucket('inbox'),
    },
    endpoints: {
      storage: found.storage,
      pubsub: found.pubsub,
      bigquery: found.bigquery,
      dataproc: found.dataproc,
      secrets: found.secrets,
      scheduler: found.scheduler,
      monitoring: found.scheduler,
    },
  };
}

async function deployedPlace(name: string): Promise<Place> {
  const { readEnvironments } = await import('../infra/environment.ts');
  const all = await readEnvironments();
  const environment = all[name];
  if (environment === undefined || name === 'local') {
    const names = Object.keys(all).filter((each) => each !== 'local');
    throw new Failure(`no environment is called ${name}: there are ${names.join(', ')}`);
  }
  const { project, region, location, endpoints } = environment;
  return {
    name,
    project,
    region,
    location,
    // As infra/stack.ts names them.
    buckets: {
      bronze: `${project}-bronze`,
      control: `${project}-control`,
      lake: `${project}-lake`,
      rejected: `${project}-rejected`,
      inbox: `${project}-inbox`,
    },
    endpoints,
  };
}

/** The sources there are, or the one that is named. @throws Failure naming those there are */
export function sourceNamed(name: string): { readonly domain: string; readonly source: string } {
  if (catalog.sources[name] === undefined) {
    throw new Failure(
      `no source is called ${name}; there are ${Object.keys(catalog.sources).sort().join(', ')}`,
    );
  }
  const [domain = '', source = ''] = name.split('.');
  return { domain, source };
}

/** An instant a person wrote: a day, or ISO 8601; without a zone it is UTC. */
export function instantOf(text: string): string {
  const withZone = /^\d{4}-\d{2}-\d{2}$|Z$|[+-]\d{2}:?\d{2}$/.test(text) ? text : `${text}Z`;
  const ms = Date.parse(withZone);
  if (Number.isNaN(ms)) {
    throw new Failure(`"${text}" is no instant: write 2026-11-21 or 2026-11-21T13:00:00Z`);
  }
  return new Date(ms).toISOString();
}
