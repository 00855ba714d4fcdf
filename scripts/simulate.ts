/** `simulate`: publishes a made-up world's events, with facts planted in it that the tables show. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Failure } from './failure.ts';
import { duration, say } from './progress.ts';
import { type Published, type PublishTarget, positive, publish, publishTarget } from './publish.ts';
import { openTarget, type TargetOptions, withTarget } from './target.ts';

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

const span = ({ from, to }: { readonly from: string; readonly to: string }): string =>
  `from ${from} to ${to}`;

export const simulations: Readonly<Record<string, Simulation>> = {
  commerce: {
    topic: 'behavior-events',
    world: async (options) => {
      const { shopWorld } = await import('../local/outside/shop/world.ts');
      const { published, planted } = shopWorld(options);
      const { viral, returnWave, checkoutBug } = planted;
      return {
        events: published(),
        planted: [
          `product ${viral.productId} goes viral ${span(viral)}`,
          `most orders of product ${returnWave.productId} come back ${span(returnWave)}`,
          `no order succeeds in a session ${checkoutBug.sessions}... (phones) ${span(checkoutBug)}`,
        ],
      };
    },
  },
  website: {
    topic: 'site-events',
    world: async (options) => {
      const { siteWorld } = await import('../local/outside/site/world.ts');
      const { published, planted } = siteWorld(options);
      const { viral, signupBug, campaign, newType } = planted;
      return {
        events: published(),
        planted: [
          `post ${viral.entityId} goes viral ${span(viral)}`,
          `hardly a sign-up on a ${signupBug.device} device succeeds ${span(signupBug)}`,
          `campaign ${campaign.name} brings readers by ${campaign.channel} ${span(campaign)}`,
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
  /** About how many events the world has, published whole; default: enough for `events`. */
  readonly scale?: number;
  /** Events per second; default: as fast as they are taken. */
  readonly rate?: number;
  readonly seed: number;
  readonly until: number;
  /** Called now and then with how many are published. */
  readonly progress?: (published: number) => void;
}

/**
 * Publishes a world's events, a JSON object per message.
 * @throws Failure when the domain has no world, or the topic takes nothing
 */
export async function simulate(request: SimulateRequest, to: PublishTarget): Promise<Published> {
  const simulation = simulations[request.domain];
  if (simulation === undefined) {
    const known = Object.keys(simulations).join(', ');
    throw new Failure(`nobody simulates ${request.domain}: choose one of ${known}`);
  }
  const { seed, until, events, rate, progress } = request;
  const scale = request.scale ?? (events === undefined ? DEFAULT_EVENTS : enough(events));
  const world = await simulation.world({ seed, scale, until });
  for (const fact of world.planted) say(`planted: ${fact}`);
  return await publish(
    {
      topic: simulation.topic,
      input: lines(world.events, events ?? Number.POSITIVE_INFINITY),
      ...(rate === undefined ? {} : { rate }),
      ...(progress === undefined ? {} : { progress }),
    },
    to,
  );
}

/** The first events, one a line. */
async function* lines(events: Iterable<object>, most: number): AsyncGenerator<Buffer> {
  let left = most;
  for (const event of events) {
    if (left <= 0) return;
    left -= 1;
    yield Buffer.from(`${JSON.stringify(event)}\n`);
  }
}

interface SimulateOptions extends TargetOptions {
  readonly events?: number;
  readonly rate?: number;
  readonly seed: number;
  readonly json: boolean;
}

const DAY_MS = 86_400_000;

function whole(text: string): number {
  const number = positive(text);
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError('It is no whole number.');
  return number;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<domain>', Object.keys(simulations).join(' or '))
    .option('--events <n>', 'publish exactly so many (default: a world of about 60,000)', whole)
    .option('--rate <n>', 'events per second (default: as fast as they are taken)', positive)
    .addOption(
      new Option('--seed <n>', 'another seed is another world').argParser(whole).default(1),
    )
    .option('--json', 'what became of them as JSON', false)
    .addHelpText(
      'after',
      `
The same seed on the same day is the same world: publishing it again changes nothing.

Examples:
  ./tributary simulate website
  ./tributary simulate commerce --events 5000 --rate 200 --seed 7`,
    )
    .action(async (domain: string, options: SimulateOptions) => {
      const target = await openTarget(options);
      const { events, rate, seed } = options;
      const done = await simulate(
        {
          domain,
          seed,
          // The begin of the day: who simulates twice gets the same events.
          until: Math.floor(Date.now() / DAY_MS) * DAY_MS,
          progress: (published) => say(`${published} events published ...`),
          ...(events === undefined ? {} : { events }),
          ...(rate === undefined ? {} : { rate }),
        },
        publishTarget(options, target),
      );
      const { published, failed, topic, seconds, per_second } = done;
      if (options.json) process.stdout.write(`${JSON.stringify(done)}\n`);
      else {
        console.log(
          `${published} events published to ${topic} in ${duration(seconds * 1_000)}, ${per_second} a second`,
        );
      }
      if (failed > 0) {
        throw new Failure(
          `${failed} events were not published (${done.failures[0]?.reason}); publishing them all again does no harm`,
        );
      }
    });
}
