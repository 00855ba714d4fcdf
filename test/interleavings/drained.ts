/**
 * The deployed drain in a simulated world: others publish, ticks come every minute, and whatever
 * goes wrong, in the end every message is in a run that counts, byte for byte, and acknowledged;
 * and none was acknowledged before.
 */
import { gunzipSync } from 'node:zlib';
import { drainTick } from '../../functions/drain.ts';
import { place, type RunManifest } from '../../functions/manifest.ts';
import { drainedSubscription, functions } from '../../functions/settings.ts';
import type { StoredObject } from '../../functions/world.ts';
import { Buckets } from './buckets.ts';
import { calm, Deliveries, type Mail } from './delivery.ts';
import { type Fates, Simulation } from './simulation.ts';
import { type Published, Topics } from './topics.ts';
import { config, worldOf } from './world.ts';

const START = Date.UTC(2026, 10, 21, 5, 40);
const MINUTE_MS = 60_000;
const SUBSCRIPTION = drainedSubscription('events');

export interface DrainPlan {
  readonly seed: number;
  readonly trace?: boolean;
  /** Events published, over so many minutes; some of them more than once. */
  readonly events: number;
  readonly minutes: number;
  readonly doubled?: number;
  /** Of these, no JSON, not UTF-8, empty or with attributes only. */
  readonly poison?: number;
  /** Messages that one pull brings, and that one landing takes. */
  readonly most?: number;
  readonly limit?: number;
  readonly fates?: Fates;
  readonly mail?: Partial<Mail>;
  /** Minutes after which nothing goes wrong any more. */
  readonly stormy?: number;
  readonly prepare?: (drained: Drained) => void;
}

export interface Drained {
  readonly simulation: Simulation;
  readonly topics: Topics;
  readonly deliveries: Deliveries;
  readonly runs: readonly RunManifest[];
  /** Lines of all runs that count. */
  readonly lines: readonly Line[];
  /** Messages published. */
  readonly published: readonly Published[];
  readonly logged: ReadonlyMap<string, number>;
}

interface Line {
  readonly observed_at: string;
  readonly meta: {
    readonly message_id: string;
    readonly published_at: string;
    readonly attributes: Readonly<Record<string, string>>;
    readonly ordering_key?: string;
  };
  readonly payload?: string;
  readonly payload_base64?: string;
}

const bytesOf = ({ payload, payload_base64 }: Line): Buffer =>
  payload === undefined ? Buffer.from(payload_base64 ?? '', 'base64') : Buffer.from(payload);

/** The event that a publisher means, whatever it looks like: what silver would merge by. */
const keyOf = (data: Buffer, attributes: Readonly<Record<string, string>>): string =>
  `${data.toString('base64')} ${attributes['event'] ?? ''}`;

const poisonous: readonly Buffer[] = [
  Buffer.from('{"id":"cut o'),
  Buffer.from([0xff, 0xfe, 0x00, 0x7b]),
  Buffer.alloc(0),
  Buffer.from('{"id":\n\t"a line\\u0000break"}'),
];

/** @throws Error naming the seed and what did not hold, with what happened before it */
export async function drain(plan: DrainPlan): Promise<Drained> {
  const simulation = new Simulation({ seed: plan.seed, start: START, trace: plan.trace === true });
  const { random } = simulation;
  const stormyUntil = START + (plan.stormy ?? plan.minutes) * MINUTE_MS;
  simulation.fates = (call, process) =>
    simulation.now < stormyUntil ? (plan.fates?.(call, process) ?? 'plain') : 'plain';

  const parts = new Map<string, { readonly generation: string; readonly lines: Line[] }>();
  const runs: RunManifest[] = [];
  const lines: Line[] = [];
  /** Ids of messages that a run that counts holds. */
  const durable = new Set<string>();
  const written = (object: StoredObject, bytes: Buffer): void => {
    if (object.bucket === 'bronze') {
      const texts = gunzipSync(bytes).toString().split('\n').slice(0, -1);
      const parsed = texts.map((text) => JSON.parse(text) as Line);
      parts.set(object.name, { generation: object.generation, lines: parsed });
    }
    if (object.bucket !== 'control' || !object.name.startsWith('runs/')) return;
    const run = JSON.parse(bytes.toString()) as RunManifest;
    runs.push(run);
    simulation.note(null, `+ ${object.name}`, 'landmark');
    // Without its marker a run is forgotten: no batch would ever take it.
    if (buckets.stat('control', place.waiting('shop', 'events', run.run)) === null) {
      simulation.break(`${object.name} has no marker among the waiting`);
    }
    for (const file of run.files) {
      const part = parts.get(file.name);
      if (part?.generation !== file.generation || part.lines.length !== file.lines) {
        simulation.break(`${object.name} lists ${file.name}, which is not there as listed`);
      }
      for (const line of part?.lines ?? []) {
        lines.push(line);
        durable.add(line.meta.message_id);
      }
    }
  };
  const buckets: Buckets = new Buckets(simulation, {
    names: ['bronze', 'control'],
    page: 1_000,
    watcher: { written, removed: () => undefined },
  });
  const topics = new Topics(simulation, 'p');
  topics.most = plan.most ?? 1_000;
  topics.declare('events', SUBSCRIPTION, 180);
  topics.acknowledged = (ids) => {
    const early = ids.filter((id) => !durable.has(id));
    if (early.length > 0)
      simulation.break(`acknowledged before it was durable: ${early.join(' ')}`);
  };

  const logged = new Map<string, number>();
  const limits = { messages: plan.limit ?? 1_000, bytes: 100_000 };
  const deliveries: Deliveries = new Deliveries(simulation, {
    functions: functions.filter(({ name }) => name === 'drain'),
    handlers: {
      drain: (message, world, settings) => drainTick(message, world, settings, limits),
    },
    config,
    worldOf: (process) =>
      worldOf(simulation, process, {
        objects: buckets.objects(process),
        queue: deliveries.queue(process),
        subscriptions: topics.client(process),
        log: (_severity, event) => void logged.set(event, (logged.get(event) ?? 0) + 1),
      }),
  });
  deliveries.mail = { ...calm, ...plan.mail };
  simulation.after(stormyUntil - START, () => {
    deliveries.mail = calm;
  });
  deliveries.every(1, 0, 'drain', () => ({ source: 'shop.events' }));

  const published: Published[] = [];
  const times: number[] = [];
  for (let i = 0; i < plan.events; i += 1) {
    const bad = i < (plan.poison ?? 0);
    const data = bad
      ? (poisonous[i % poisonous.length] as Buffer)
      : Buffer.from(JSON.stringify({ id: `e${i}`, note: 'ü"\\'.repeat(i % 3) }));
    const message: Published = {
      data,
      // No data and no attributes at all is refused by the service.
      attributes: i % 2 === 0 || data.length === 0 ? { event: String(i) } : {},
      orderingKey: i % 5 === 0 ? `k${i % 2}` : '',
    };
    const copies = i < (plan.doubled ?? 0) ? 3 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const at = random.between(0, plan.minutes * MINUTE_MS);
      times.push(at);
      simulation.after(at, () => {
        topics.publish('events', [message]);
        published.push(message);
      });
    }
  }
  const drained: Drained = { simulation, topics, deliveries, runs, lines, published, logged };
  plan.prepare?.(drained);

  const faults = (): string[] => {
    const found: string[] = [];
    const left = topics.unacknowledged(SUBSCRIPTION);
    if (left > 0) found.push(`${left} messages are not acknowledged`);
    const want = new Set(published.map(({ data, attributes }) => keyOf(data, attributes)));
    const have = new Set(lines.map((line) => keyOf(bytesOf(line), line.meta.attributes)));
    for (const key of want) if (!have.has(key)) found.push(`${key} is lost`);
    for (const key of have) if (!want.has(key)) found.push(`${key} was never published`);
    return found;
  };
  await simulation.guard(async () => {
    // A process that froze may still hold its messages for a lease; then they come again.
    const last = Math.max(plan.minutes, plan.stormy ?? 0);
    await simulation.run(START + last * MINUTE_MS);
    for (let minutes = last + 1; minutes < last + 40 && faults().length > 0; minutes += 1) {
      await simulation.run(START + minutes * MINUTE_MS);
    }
    const broken = faults();
    if (broken.length > 0) simulation.break(broken.join('; '));
  });
  return drained;
}
