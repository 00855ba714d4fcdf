/**
 * What a person is told of, each with its page in `docs/runbooks/`, which the alert carries along.
 *
 * Alerts on what the functions say count log lines by their `event`; the others watch the services.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LoggingMetric } from '@cdktf/provider-google/lib/logging-metric/index.js';
import {
  MonitoringAlertPolicy,
  type MonitoringAlertPolicyConditionsConditionThreshold,
} from '@cdktf/provider-google/lib/monitoring-alert-policy/index.js';
import { MonitoringNotificationChannel } from '@cdktf/provider-google/lib/monitoring-notification-channel/index.js';
import { Construct } from 'constructs';
import { longestPause } from './cron.ts';

const runbooks = join(import.meta.dirname, '../docs/runbooks');

type Urgency = 'CRITICAL' | 'ERROR' | 'WARNING';

interface LoggedAlert {
  /** Also the runbook: `docs/runbooks/<name>.md`. */
  readonly name: string;
  readonly title: string;
  readonly urgency: Urgency;
  /** The log line's `event`. */
  readonly event: string;
  /** Field of the line that tells incidents apart. */
  readonly by: string;
  /** Only lines of this severity and above. */
  readonly from?: 'WARNING' | 'ERROR';
}

/** Alerts on log lines of functions; each `event` is written by `functions/`. */
export const loggedAlerts: readonly LoggedAlert[] = [
  {
    name: 'late-source',
    title: 'A source is late',
    urgency: 'ERROR',
    event: 'source_late',
    by: 'source',
  },
  {
    name: 'pull-stopped',
    title: 'A pull needs a person',
    urgency: 'ERROR',
    event: 'pull_stopped',
    by: 'source',
    from: 'ERROR',
  },
  {
    name: 'failed-batch',
    title: 'A Spark batch failed',
    urgency: 'WARNING',
    event: 'batch_failed',
    by: 'domain',
  },
  {
    name: 'run-set-aside',
    title: 'A run was set aside',
    urgency: 'ERROR',
    event: 'run_set_aside',
    by: 'run',
  },
  {
    name: 'domain-waits',
    title: 'A domain stands still',
    urgency: 'CRITICAL',
    event: 'domain_waits',
    by: 'domain',
  },
  {
    name: 'failed-load',
    title: 'A load into BigQuery failed',
    urgency: 'ERROR',
    event: 'load_failed',
    by: 'domain',
  },
  {
    name: 'late-tables',
    title: 'The tables of a domain are late',
    urgency: 'ERROR',
    event: 'runs_overdue',
    by: 'domain',
  },
  {
    name: 'rejected-rate',
    title: 'Many records are rejected',
    urgency: 'ERROR',
    event: 'rejected_rate',
    by: 'source',
  },
  {
    name: 'collect-refused',
    title: 'Collected events cannot be published',
    urgency: 'CRITICAL',
    event: 'collect_failed',
    by: 'topic',
  },
  {
    name: 'misplaced-file',
    title: 'An uploaded file names no source',
    urgency: 'WARNING',
    event: 'upload_misplaced',
    by: 'file',
  },
  {
    name: 'stopped-upload',
    title: 'An uploaded file cannot be taken in',
    urgency: 'ERROR',
    event: 'upload_stopped',
    by: 'file',
    from: 'ERROR',
  },
  {
    name: 'failed-submit',
    title: 'A domain cannot be taken further',
    urgency: 'ERROR',
    event: 'advance_failed',
    by: 'domain',
  },
  {
    name: 'failed-sweep',
    title: 'A step of the sweep failed',
    urgency: 'ERROR',
    event: 'sweep_step_failed',
    by: 'step',
  },
];

/** Monitoring's longest alignment period, in seconds. */
const LONGEST_PERIOD = 90_000;

export interface Watched {
  /** Names of push subscriptions, and of the subscriptions that keep their dead letters. */
  readonly subscriptions: readonly string[];
  readonly deadLetters: readonly string[];
  /** Names of subscriptions that a minute tick drains. */
  readonly drained: readonly string[];
  /** Names of schedules with their cron expressions; none while they are paused. */
  readonly schedules: readonly { readonly name: string; readonly cron: string }[];
}

export class Alerts extends Construct {
  readonly channel: MonitoringNotificationChannel;

  constructor(
    scope: Construct,
    id: string,
    options: { readonly address: string; readonly watched: Watched },
  ) {
    super(scope, id);
    const { watched } = options;
    this.channel = new MonitoringNotificationChannel(this, 'channel', {
      displayName: 'Tributary alerts',
      type: 'email',
      labels: { email_address: options.address },
    });
    for (const alert of loggedAlerts) this.#onLogLine(alert);

    this.#policy('dead-letters', 'Messages were given up', 'ERROR', {
      filter: `resource.type="pubsub_subscription" AND metric.type="pubsub.googleapis.com/subscription/num_undelivered_messages" AND resource.labels.subscription_id=one_of(${quoted(watched.deadLetters)})`,
      aggregations: [{ alignmentPeriod: '300s', perSeriesAligner: 'ALIGN_MAX' }],
      comparison: 'COMPARISON_GT',
      thresholdValue: 0,
      duration: '0s',
    });
    this.#policy('backlog', 'Messages wait for over an hour', 'ERROR', {
      filter: `resource.type="pubsub_subscription" AND metric.type="pubsub.googleapis.com/subscription/oldest_unacked_message_age" AND resource.labels.subscription_id=one_of(${quoted(watched.subscriptions)})`,
      aggregations: [{ alignmentPeriod: '300s', perSeriesAligner: 'ALIGN_MAX' }],
      comparison: 'COMPARISON_GT',
      // One puller takes slices of eight minutes, source after source: less than an hour is normal.
      thresholdValue: 3600,
      duration: '600s',
    });
    if (watched.drained.length > 0) {
      this.#policy('drain-backlog', 'Published events are not drained', 'ERROR', {
        filter: `resource.type="pubsub_subscription" AND metric.type="pubsub.googleapis.com/subscription/oldest_unacked_message_age" AND resource.labels.subscription_id=one_of(${quoted(watched.drained)})`,
        aggregations: [{ alignmentPeriod: '300s', perSeriesAligner: 'ALIGN_MAX' }],
        comparison: 'COMPARISON_GT',
        // Drained every minute: a quarter of an hour is neither a slow slice nor a lost one.
        thresholdValue: 900,
        duration: '300s',
      });
    }
    const requests =
      'resource.type="cloud_run_revision" AND metric.type="run.googleapis.com/request_count"';
    const byService = {
      alignmentPeriod: '600s',
      perSeriesAligner: 'ALIGN_DELTA',
      crossSeriesReducer: 'REDUCE_SUM',
      groupByFields: ['resource.labels.service_name'],
    };
    this.#policy('function-errors', 'A function fails often', 'ERROR', {
      filter: `${requests} AND metric.labels.response_code_class="5xx"`,
      aggregations: [byService],
      denominatorFilter: requests,
      denominatorAggregations: [byService],
      comparison: 'COMPARISON_GT',
      thresholdValue: 0.25,
      duration: '1800s',
    });
    this.#schedules(watched.schedules);
  }

  #onLogLine(alert: LoggedAlert): void {
    const severity = alert.from === undefined ? '' : ` AND severity>=${alert.from}`;
    const metric = new LoggingMetric(this, `metric_${alert.event}`, {
      name: `tributary/${alert.event}`,
      description: alert.title,
      filter: `resource.type="cloud_run_revision" AND jsonPayload.event="${alert.event}"${severity}`,
      metricDescriptor: {
        metricKind: 'DELTA',
        valueType: 'INT64',
        labels: [{ key: alert.by, valueType: 'STRING' }],
      },
      labelExtractors: { [alert.by]: `EXTRACT(jsonPayload.${alert.by})` },
    });
    this.#policy(alert.name, alert.title, alert.urgency, {
      filter: `resource.type="cloud_run_revision" AND metric.type="logging.googleapis.com/user/${metric.name}"`,
      aggregations: [
        {
          alignmentPeriod: '600s',
          perSeriesAligner: 'ALIGN_DELTA',
          crossSeriesReducer: 'REDUCE_SUM',
          groupByFields: [`metric.labels.${alert.by}`],
        },
      ],
      comparison: 'COMPARISON_GT',
      thresholdValue: 0,
      duration: '0s',
    });
  }

  /** A schedule that fails says so; one that is paused or gone is known by its silence only. */
  #schedules(schedules: Watched['schedules']): void {
    if (schedules.length === 0) return;
    const attempt =
      'resource.type="cloud_scheduler_job" AND jsonPayload."@type"="type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"';
    const metricOf = (name: string, about: string, filter: string) =>
      new LoggingMetric(this, `metric_${name}`, {
        name: `tributary/${name}`,
        description: about,
        filter,
        metricDescriptor: { metricKind: 'DELTA', valueType: 'INT64' },
      });
    const fired = metricOf('schedule_fired', 'Schedules fired', `${attempt} AND severity<ERROR`);
    const failed = metricOf(
      'schedule_failed',
      'Schedules that could not publish',
      `${attempt} AND severity>=ERROR`,
    );
    const counted = (metric: LoggingMetric) =>
      `resource.type="cloud_scheduler_job" AND metric.type="logging.googleapis.com/user/${metric.name}"`;
    const summed = (period: number) => ({
      alignmentPeriod: `${period}s`,
      perSeriesAligner: 'ALIGN_DELTA',
      crossSeriesReducer: 'REDUCE_SUM',
      groupByFields: ['resource.labels.job_id'],
    });
    this.#policy('failed-schedule', 'A schedule cannot publish', 'ERROR', {
      filter: counted(failed),
      aggregations: [summed(600)],
      comparison: 'COMPARISON_GT',
      thresholdValue: 0,
      duration: '0s',
    });
    for (const { name, cron } of schedules) {
      const period = silenceOf(cron);
      this.#policy(
        'silent-schedule',
        `The schedule ${name} is silent`,
        'ERROR',
        {
          filter: `${counted(fired)} AND resource.labels.job_id="${name}"`,
          aggregations: [summed(period)],
          comparison: 'COMPARISON_LT',
          thresholdValue: 1,
          duration: '60s',
          // No data is the very thing that is looked for.
          evaluationMissingData: 'EVALUATION_MISSING_DATA_ACTIVE',
        },
        `silent-schedule_${name}`,
      );
    }
  }

  #policy(
    runbook: string,
    title: string,
    urgency: Urgency,
    condition: MonitoringAlertPolicyConditionsConditionThreshold,
    id = runbook,
  ): void {
    new MonitoringAlertPolicy(this, id, {
      displayName: title,
      combiner: 'OR',
      severity: urgency,
      conditions: [{ displayName: title, conditionThreshold: condition }],
      notificationChannels: [this.channel.id],
      alertStrategy: { autoClose: '86400s' },
      documentation: {
        content: readFileSync(join(runbooks, `${runbook}.md`), 'utf8'),
        mimeType: 'text/markdown',
      },
      userLabels: { runbook },
    });
  }
}

/**
 * Seconds without a firing after which a schedule counts as silent: two of its pauses.
 * @throws when it pauses for longer than Monitoring can look back
 */
export function silenceOf(cron: string): number {
  const pause = longestPause(cron) * 60;
  if (pause >= LONGEST_PERIOD) {
    throw new Error(`the schedule ${cron} pauses for over a day: its silence cannot be noticed`);
  }
  return Math.min(LONGEST_PERIOD, Math.max(1800, 2 * pause + 600));
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
