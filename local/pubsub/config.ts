/** Declarations of topics and subscriptions: their defaults and what the service refuses. */
import { invalid } from './errors.ts';
import { compileFilter } from './filter.ts';

export interface TopicConfig {
  /** `projects/P/topics/T` */
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Seconds, 600 to 2,678,400 (31 days). Absent = the topic itself keeps nothing. */
  readonly messageRetentionSeconds?: number;
}

export interface PushConfig {
  readonly pushEndpoint: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly oidcToken?: { readonly serviceAccountEmail: string; readonly audience?: string };
}

export interface SubscriptionConfig {
  /** `projects/P/subscriptions/S` */
  readonly name: string;
  readonly topic: string;
  /** Absent = pull. */
  readonly pushConfig?: PushConfig;
  /** 10 to 600, default 10; for push also the time an endpoint has for its answer. */
  readonly ackDeadlineSeconds?: number;
  readonly retainAckedMessages?: boolean;
  /** 600 to 2,678,400, default 7 days. */
  readonly messageRetentionSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly enableMessageOrdering?: boolean;
  /** Seconds without any activity after which it is deleted; 0 = never. Default 31 days. */
  readonly expirationSeconds?: number;
  readonly filter?: string;
  readonly deadLetterPolicy?: {
    readonly deadLetterTopic: string;
    /** 5 to 100, default 5. */
    readonly maxDeliveryAttempts?: number;
  };
  readonly retryPolicy?: {
    /** 0 to 600, default 10. */
    readonly minimumBackoffSeconds?: number;
    /** 0 to 600, default 600. */
    readonly maximumBackoffSeconds?: number;
  };
}

/** A role somebody gave to the Pub/Sub service agent; a project as resource covers what is in it. */
export interface Grant {
  readonly role: 'roles/pubsub.publisher' | 'roles/pubsub.subscriber';
  /** `projects/P`, `projects/P/topics/T` or `projects/P/subscriptions/S` */
  readonly resource: string;
}

export function granted(grants: readonly Grant[], role: Grant['role'], resource: string): boolean {
  const project = resource.split('/').slice(0, 2).join('/');
  return grants.some(
    (grant) => grant.role === role && (grant.resource === resource || grant.resource === project),
  );
}

const DAY = 86_400;
export const DEFAULT_RETENTION = 7 * DAY;
export const DEFAULT_EXPIRATION = 31 * DAY;
const NAME = /^projects\/[^/]+\/(?:topics|subscriptions)\/[A-Za-z][\w.~+%-]{2,254}$/;

function within(name: string, value: number | undefined, low: number, high: number): void {
  if (value !== undefined && !(value >= low && value <= high)) {
    throw invalid(`Invalid ${name}: ${value}. It must lie between ${low} and ${high}.`);
  }
}

function checkName(name: string, kind: 'topics' | 'subscriptions'): void {
  const id = name.split('/')[3] ?? '';
  if (!NAME.test(name) || !name.includes(`/${kind}/`) || id.startsWith('goog')) {
    throw invalid(`Invalid resource name given (name=${name}).`);
  }
}

export function checkTopic(config: TopicConfig): void {
  checkName(config.name, 'topics');
  within('messageRetentionDuration', config.messageRetentionSeconds, 600, 31 * DAY);
}

export function checkSubscription(config: SubscriptionConfig): void {
  checkName(config.name, 'subscriptions');
  within('ackDeadlineSeconds', config.ackDeadlineSeconds, 10, 600);
  within('messageRetentionDuration', config.messageRetentionSeconds, 600, 31 * DAY);
  if (config.expirationSeconds) {
    const retention = config.messageRetentionSeconds ?? DEFAULT_RETENTION;
    within('expirationPolicy.ttl', config.expirationSeconds, Math.max(DAY, retention), Infinity);
  }
  within('maxDeliveryAttempts', config.deadLetterPolicy?.maxDeliveryAttempts, 5, 100);
  const { minimumBackoffSeconds: low, maximumBackoffSeconds: high } = config.retryPolicy ?? {};
  within('minimumBackoff', low, 0, 600);
  within('maximumBackoff', high, 0, 600);
  if ((low ?? 10) > (high ?? 600)) throw invalid('minimumBackoff is above maximumBackoff.');
  if (config.filter) compileFilter(config.filter);
  const endpoint = config.pushConfig?.pushEndpoint;
  if (endpoint !== undefined && !URL.canParse(endpoint)) {
    throw invalid(`Invalid push endpoint given (endpoint=${endpoint}).`);
  }
}
