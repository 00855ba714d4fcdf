import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { functions } from '../../functions/settings.ts';
import { loggedAlerts, silenceOf } from '../../infra/alerts.ts';
import { longestPause } from '../../infra/cron.ts';
import { scheduleOf } from '../../schemas/contract.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';
import { asItIs, only, type Resource, reference, synthesised } from './stack.ts';

const root = resolve(import.meta.dirname, '../..');
const stack = asItIs();
const policies = Object.entries(stack.all('google_monitoring_alert_policy'));
const runbooks = readdirSync(join(root, 'docs/runbooks')).map((name) => name.replace('.md', ''));

const thresholdOf = (policy: Resource): Resource => {
  const [condition] = policy['conditions'] as readonly Resource[];
  return condition?.['condition_threshold'] as Resource;
};

test('there is an alert for everything that a person must know', () => {
  const alerts = new Set(
    policies.map(([, policy]) => (policy['user_labels'] as Resource)['runbook']),
  );
  expect([...alerts].sort()).toEqual([
    'backlog',
    'collect-refused',
    'dead-letters',
    'domain-waits',
    'drain-backlog',
    'failed-batch',
    'failed-load',
    'failed-schedule',
    'failed-submit',
    'failed-sweep',
    'function-errors',
    'late-source',
    'late-tables',
    'misplaced-file',
    'pull-stopped',
    'rejected-rate',
    'run-set-aside',
    'silent-schedule',
    'stopped-upload',
  ]);
  // The budget speaks for itself, by the page on cost.
  expect([...alerts, 'cost'].sort()).toEqual(runbooks.sort());
});

test.each(policies)('%s reaches somebody, with its page', (_, policy) => {
  expect(policy['notification_channels']).toEqual([
    reference('google_monitoring_notification_channel', 'alerts_channel', 'id'),
  ]);
  const { runbook } = policy['user_labels'] as { readonly runbook: string };
  const { content } = policy['documentation'] as { readonly content: string };
  expect(content).toBe(readFileSync(join(root, `docs/runbooks/${runbook}.md`), 'utf8'));
  // Monitoring's limit for the text; Terraform would take such a sequence for its own.
  expect(content.length).toBeLessThanOrEqual(8192);
  expect(content).not.toMatch(/[$%]\{/);
});

test.each(policies)('%s has a period and a duration that Monitoring takes', (_, policy) => {
  const threshold = thresholdOf(policy);
  const [aggregation] = threshold['aggregations'] as readonly Resource[];
  const period = Number.parseInt(String(aggregation?.['alignment_period']), 10);
  expect(period).toBeGreaterThanOrEqual(60);
  expect(period).toBeLessThanOrEqual(90_000);
  expect(Number.parseInt(String(threshold['duration']), 10) % 60).toBe(0);
});

test('links between pages lead somewhere', () => {
  for (const runbook of runbooks) {
    const page = readFileSync(join(root, `docs/runbooks/${runbook}.md`), 'utf8');
    for (const [, name] of page.matchAll(/\]\(([\w-]+)\.md\)/g)) expect(runbooks).toContain(name);
  }
});

const source = readdirSync(join(root, 'functions'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(join(root, 'functions', name), 'utf8'))
  .join('\n');

test.each(loggedAlerts)('$event is an event that functions log, and is counted', (alert) => {
  expect(source).toMatch(new RegExp(`log\\([^)]*?'${alert.event}'`, 's'));
  const [id, metric] = only(stack, 'google_logging_metric', { name: `tributary/${alert.event}` });
  expect(metric['filter']).toContain(`jsonPayload.event="${alert.event}"`);
  expect(metric['label_extractors']).toEqual({ [alert.by]: `EXTRACT(jsonPayload.${alert.by})` });
  const policy = stack.all('google_monitoring_alert_policy')[
    `alerts_${alert.name.replaceAll('-', '_')}`
  ];
  expect(thresholdOf(policy ?? {})['filter']).toContain(`\${google_logging_metric.${id}.name}`);
});

test('alerts on dead letters and backlog watch every subscription', () => {
  const names = functions.flatMap(({ name, inboxes }) =>
    inboxes.map(({ topic }) => `${name}--${topic}`),
  );
  const filterOf = (id: string) =>
    String(thresholdOf(stack.all('google_monitoring_alert_policy')[id] ?? {})['filter']);
  for (const name of names) {
    expect(filterOf('alerts_backlog')).toContain(`"${name}"`);
    expect(filterOf('alerts_dead_letters')).toContain(`"${name}-dead"`);
  }
  for (const { arrives } of Object.values(catalog.sources)) {
    if (arrives.kind !== 'pubsub_messages') continue;
    expect(filterOf('alerts_drain_backlog')).toContain(`"${arrives.topic}--drain"`);
    expect(filterOf('alerts_dead_letters')).toContain(`"${arrives.topic}--drain-dead"`);
  }
});

test('every schedule is missed when it is silent, and none while they are paused', () => {
  const silent = (from = stack) =>
    Object.values(from.all('google_monitoring_alert_policy')).filter(
      (policy) => (policy['user_labels'] as Resource)['runbook'] === 'silent-schedule',
    );
  const jobs = Object.values(stack.all('google_cloud_scheduler_job')).map(({ name }) => name);
  expect(silent()).toHaveLength(jobs.length);
  for (const name of jobs) {
    const policy = silent().find((one) =>
      String(thresholdOf(one)['filter']).includes(`job_id="${name}"`),
    );
    expect(thresholdOf(policy ?? {})).toMatchObject({
      comparison: 'COMPARISON_LT',
      evaluation_missing_data: 'EVALUATION_MISSING_DATA_ACTIVE',
    });
  }
  expect(silent(synthesised({ paused: true }))).toHaveLength(0);
});

test.each([
  ['*/5 * * * *', 5],
  ['17 4 * * *', 1440],
  ['0 */6 * * *', 360],
  ['0,10 * * * *', 50],
  ['0 9 * * 1-5', 3 * 1440],
  ['0 0 1 * *', 31 * 1440],
  ['0 0 13 * 5', 7 * 1440],
  ['0 0 * * 7', 7 * 1440],
  ['0 0 30 2 *', Number.POSITIVE_INFINITY],
])('%s pauses for %s minutes at most', (cron, minutes) => {
  expect(longestPause(cron)).toBe(minutes);
});

test('silence is two pauses, within what Monitoring can look back', () => {
  expect(silenceOf('*/5 * * * *')).toBe(1800);
  expect(silenceOf('0 * * * *')).toBe(7800);
  expect(silenceOf('17 4 * * *')).toBe(90_000);
  expect(() => silenceOf('0 0 * * 1')).toThrow('pauses for over a day');
  for (const { arrives } of Object.values(catalog.sources)) {
    const schedule = scheduleOf(arrives);
    if (schedule !== null) silenceOf(schedule);
  }
});

test('the budget tells the same people, early, and by forecast', () => {
  const [, budget] = only(stack, 'google_billing_budget', {});
  expect(budget['amount']).toEqual({ specified_amount: { currency_code: 'EUR', units: '200' } });
  expect(budget['threshold_rules']).toEqual([
    { threshold_percent: 0.5 },
    { threshold_percent: 0.9 },
    { threshold_percent: 1 },
    { threshold_percent: 1, spend_basis: 'FORECASTED_SPEND' },
  ]);
  expect(budget['all_updates_rule']).toEqual({
    monitoring_notification_channels: [
      reference('google_monitoring_notification_channel', 'alerts_channel', 'id'),
    ],
  });
  expect((budget['budget_filter'] as Resource)['projects']).toHaveLength(2);
});
