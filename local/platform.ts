/**
 * The REST face of the small services: Secret Manager, Cloud Scheduler, and of Cloud Monitoring the
 * one metric that tells how many messages wait.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Listening, listen } from './loopback.ts';
import { type Schedule, type Scheduler, WrongSchedule } from './scheduler.ts';
import type { Secrets } from './secrets.ts';

export interface PlatformOptions {
  readonly project: string;
  readonly region: string;
  readonly secrets: Secrets;
  readonly scheduler: Scheduler;
  /** Unacknowledged messages by subscription (short name). */
  readonly backlog: () => Readonly<Record<string, number>>;
  /** What `GET /` tells. */
  readonly about: Readonly<Record<string, unknown>>;
}

export async function startPlatform(options: PlatformOptions): Promise<Listening> {
  const server = createServer((request, response) => {
    answer(request, options)
      .then((body) => send(response, 200, body))
      .catch((error: unknown) => {
        const status = error instanceof Absent || error instanceof WrongSchedule ? 404 : 500;
        const message = error instanceof Error ? error.message : String(error);
        send(response, status, { error: { code: status, message } });
      });
  });
  return listen(server);
}

class Absent extends Error {
  override readonly name = 'Absent';
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function answer(request: IncomingMessage, options: PlatformOptions): Promise<unknown> {
  const { project, region, secrets, scheduler } = options;
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://platform');
  const call = `${request.method} ${decodeURIComponent(pathname)}`;
  if (call === 'GET /') return options.about;

  const access = /^GET \/v1\/projects\/([^/]+)\/secrets\/([^/]+)\/versions\/latest:access$/.exec(
    call,
  );
  if (access !== null) {
    const [, ofProject, name = ''] = access;
    const latest = ofProject === project ? secrets.latest(name) : null;
    if (latest === null)
      throw new Absent(`Secret [projects/${ofProject}/secrets/${name}] not found`);
    return {
      name: `projects/${project}/secrets/${name}/versions/${latest.version}`,
      payload: {
        data: Buffer.from(latest.value).toString('base64'),
      },
    };
  }

  const adding = /^POST \/v1\/projects\/([^/]+)\/secrets\/([^/]+):addVersion$/.exec(call);
  if (adding !== null) {
    const [, ofProject, name = ''] = adding;
    if (ofProject !== project || secrets.latest(name) === null)
      throw new Absent(`Secret [projects/${ofProject}/secrets/${name}] not found`);
    const { payload } = JSON.parse(Buffer.concat(parts).toString()) as {
      payload: { data: string };
    };
    const version = secrets.add(name, Buffer.from(payload.data, 'base64').toString());
    return { name: `projects/${project}/secrets/${name}/versions/${version}`, state: 'ENABLED' };
  }

  const jobs = `/v1/projects/${project}/locations/${region}/jobs`;
  if (call === `GET ${jobs}`) {
    return { jobs: scheduler.schedules.map((schedule) => shown(jobs, schedule)) };
  }
  if (call.startsWith(`POST ${jobs}/`) && call.endsWith(':run')) {
    const name = call.slice(`POST ${jobs}/`.length, -':run'.length);
    await scheduler.run(name);
    const schedule = scheduler.schedules.find((each) => each.name === name);
    return schedule === undefined ? {} : shown(jobs, schedule);
  }
  if (call === `GET /v3/projects/${project}/timeSeries`) {
    return undelivered(searchParams.get('filter') ?? '', options.backlog());
  }
  throw new Absent(`${call}: not supported locally`);
}

/** One point per subscription, of now: the real service is some minutes behind. */
function undelivered(filter: string, backlog: Readonly<Record<string, number>>): object {
  const type = 'pubsub.googleapis.com/subscription/num_undelivered_messages';
  if (!new RegExp(`^metric\\.type\\s*=\\s*"${type}"$`).test(filter.trim())) {
    throw new Absent(`filter ${filter}: not supported locally`);
  }
  const now = new Date().toISOString();
  return {
    timeSeries: Object.entries(backlog).map(([subscription, count]) => ({
      metric: { type },
      resource: { type: 'pubsub_subscription', labels: { subscription_id: subscription } },
      metricKind: 'GAUGE',
      valueType: 'INT64',
      points: [{ interval: { endTime: now }, value: { int64Value: String(count) } }],
    })),
  };
}

const shown = (jobs: string, schedule: Schedule): object => ({
  name: `${jobs.slice('/v1/'.length)}/${schedule.name}`,
  schedule: schedule.cron,
  timeZone: 'Etc/UTC',
  state: schedule.paused ? 'PAUSED' : 'ENABLED',
  pubsubTarget: {
    topicName: schedule.topic,
    data: schedule.data,
    attributes: schedule.attributes,
  },
});
