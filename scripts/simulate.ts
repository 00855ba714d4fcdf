/** `simulate`: publishes a made-up world's events, with facts planted in it that the tables show. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Failure } from './failure.ts';
import { duration, say } from './progress.ts';
import { localEndpoints, openTarget, type TargetOptions, withTarget } from './target.ts';

/** A world as far as publishing needs it. */
interface Simulated {
  /** Events as clients publish them, in the order they do. */
  readonly events: Iterable<object>;
  /** What is planted, a sentence each. */
  readonly planted: readonly string[];
}

interface WorldOptions {
  readonly seed: number;
  /** About how many events. */
  readonly scale: number;
  /** Nothing happens later, ms. */
  readonly until: number;
}

interface Simulation {
  readonly topic: string;
  world(options: WorldOptions): Promise<Simulated>;
}

/** A world has about as many events as it is asked for; so many more, and it has enough. */
const enough = (events: number): number => Math.ceil(events * 1.08) + 100;
const DEFAULT_EVENTS = 60_000;

export const simulations: Readonly<Record<string, Simulation>> = {
  website: {
    topic: 'site-events',
    world: async (options) => {
      const { siteWorld } = await import('../local/outside/site/world.ts');
      const { published, planted } = siteWorld(options);
      const { viral, signupBug, campaign, newType } = planted;
      return {
        events: published(),
        planted: [
          `post ${viral.entityId} goes viral on ${viral.from} and ${viral.to}`,
          `hardly a sign-up on a ${signupBug.device} device succeeds from ${signupBug.from} to ${signupBug.to}`,
          `campaign ${campaign.name} brings readers by ${campaign.channel} from ${campaign.from} to ${campaign.to}`,
          `${newType.eventType} is an event type never seen before ${newType.from}`,
        ],
      };
    },
  },
};

export interface SimulateRequest {
  readonly domain: string;
  /** How many events to publish; default: a world of about 60,000, whole. */
  readonly events?: number;
  /** Events per second; default: as fast as they are taken. */
  readonly rate?: number;
  readonly seed: number;
  readonly until: number;
}

/** Where to publish. */
export interface PublishTarget {
  readonly projectId: string;
  /** `host:port` of another server than Google's. */
  readonly apiEndpoint?: string;
}

/**
 * Publishes a world's events with flow control, a JSON object per message.
 * @returns how many were durably taken
 * @throws Failure when the domain has no world, or publishing fails for good
 */
export async function simulate(request: SimulateRequest, target: PublishTarget): Promise<number> {
  const simulation = simulations[request.domain];
  if (simulation === undefined) {
    const known = Object.keys(simulations).join(', ');
    throw new Failure(`nobody simulates ${request.domain}: choose one of ${known}`);
  }
  const { seed, until, events: most = Number.POSITIVE_INFINITY } = request;
  const scale = request.events === undefined ? DEFAULT_EVENTS : enough(most);
  const world = await simulation.world({ seed, scale, until });
  for (const fact of world.planted) say(`planted: ${fact}`);
  // Loaded here: gRPC costs a quarter of a second that other commands do not need.
  const { PubSub } = await import('@google-cloud/pubsub');
  const client = new PubSub(target);
  try {
    const topic = client.topic(simulation.topic, {
      batching: { maxMessages: 500, maxBytes: 1_000_000, maxMilliseconds: 20 },
      flowControlOptions: { maxOutstandingMessages: 5_000, maxOutstandingBytes: 20_000_000 },
    });
    const publisher = topic.flowControlled();
    const begun = Date.now();
    let sent = 0;
    for (const event of world.events) {
      if (sent >= most) break;
      if (request.rate !== undefined) await due(begun + (sent / request.rate) * 1000);
      await publisher.publish({ data: Buffer.from(JSON.stringify(event)) });
      sent += 1;
      // The publisher remembers every message until it is asked for them.
      if (sent % 50_000 === 0) await publisher.all();
    }
    await publisher.all();
    return sent;
  } catch (error) {
    const { message } = error as Error;
    throw new Failure(
      `publishing to ${simulation.topic} failed: ${message}; what was published stays, and publishing it again does no harm`,
      { cause: error },
    );
  } finally {
    await client.close();
  }
}

/** Waits for a moment, if it lies ahead far enough for a timer to hit. */
async function due(at: number): Promise<void> {
  const left = at - Date.now();
  if (left > 2) await sleep(left);
}

interface SimulateOptions extends TargetOptions {
  readonly events?: number;
  readonly rate?: number;
  readonly seed: number;
}

function positive(text: string): number {
  const number = Number(text.replaceAll(/[_,]/g, ''));
  if (!(number > 0)) throw new InvalidArgumentError('It is no number above 0.');
  return number;
}

function whole(text: string): number {
  const number = positive(text);
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError('It is no whole number.');
  return number;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<domain>', Object.keys(simulations).join(' or '))
    .option('--events <n>', 'publish exactly so many (default: three weeks, about 60,000)', whole)
    .option('--rate <n>', 'events per second (default: as fast as they are taken)', positive)
    .addOption(
      new Option('--seed <n>', 'another seed is another world').argParser(whole).default(1),
    )
    .addHelpText(
      'after',
      `
The same seed on the same day is the same world: publishing it again changes nothing.

Examples:
  ./tributary simulate website
  ./tributary simulate website --events 5000 --rate 200 --seed 7`,
    )
    .action(async (domain: string, options: SimulateOptions) => {
      const { config } = await openTarget(options);
      const { events, rate, seed } = options;
      const begun = Date.now();
      const sent = await simulate(
        {
          domain,
          seed,
          // The begin of the day: who simulates twice gets the same events.
          until: Math.floor(begun / 86_400_000) * 86_400_000,
          ...(events === undefined ? {} : { events }),
          ...(rate === undefined ? {} : { rate }),
        },
        {
          projectId: config.project,
          ...(options.env === undefined
            ? { apiEndpoint: localEndpoints(options).pubsub_grpc }
            : {}),
        },
      );
      const ms = Date.now() - begun;
      say(
        `${sent} events published in ${duration(ms)}, ${Math.round((sent / ms) * 1000)} a second`,
      );
    });
}
