/** A schedule: one message on a topic, in UTC. */
import { CloudSchedulerJob } from '@cdktf/provider-google/lib/cloud-scheduler-job/index.js';
import { Construct } from 'constructs';
import type { Topic } from './topic.ts';

export class Schedule extends Construct {
  readonly name: string;
  readonly cron: string;

  constructor(
    scope: Construct,
    id: string,
    options: {
      readonly name: string;
      readonly about: string;
      readonly cron: string;
      readonly region: string;
      readonly topic: Topic;
      readonly message: Readonly<Record<string, unknown>>;
      readonly paused: boolean;
    },
  ) {
    super(scope, id);
    this.name = options.name;
    this.cron = options.cron;
    new CloudSchedulerJob(this, 'Resource', {
      name: options.name,
      description: options.about,
      region: options.region,
      schedule: options.cron,
      timeZone: 'Etc/UTC',
      paused: options.paused,
      // No attemptDeadline: with a Pub/Sub target it is ignored and differs on every plan.
      retryConfig: { retryCount: 3, minBackoffDuration: '5s', maxBackoffDuration: '60s' },
      pubsubTarget: {
        topicName: options.topic.path,
        data: Buffer.from(JSON.stringify(options.message)).toString('base64'),
      },
    });
  }
}
