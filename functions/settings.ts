/**
 * The functions that are deployed, as pure data: the one file of this folder that `infra/` reads.
 * What a function may touch follows from `needs`; `infra/` grants exactly that. Sources that share a
 * credential share a function, so that nobody holds two.
 */
import type { Arrival, PulledArrival, SourceContract } from '../schemas/contract.ts';
import { catalog } from '../schemas/rendered/catalog.ts';

/** Environment variables, by what they carry; `config.ts` parses exactly these. */
export const variables = {
  TRIBUTARY_PROJECT: 'Google Cloud project id',
  TRIBUTARY_REGION: 'Region of functions and Spark batches',
  TRIBUTARY_LOCATION: 'Location of the BigQuery datasets',
  TRIBUTARY_ENVIRONMENT: 'Name of the environment, such as dev or prod',
  TRIBUTARY_BUCKET_BRONZE: 'Bucket of landed files',
  TRIBUTARY_BUCKET_CONTROL: 'Bucket of manifests, ledgers and checkpoints',
  TRIBUTARY_BUCKET_LAKE: 'Bucket of silver and gold',
  TRIBUTARY_BUCKET_REJECTED: 'Bucket of refused records, restricted',
  TRIBUTARY_BUCKET_INBOX: 'Bucket that files are uploaded into',
  TRIBUTARY_HUBSPOT_URL: 'Base URL of the HubSpot API',
  TRIBUTARY_HUBSPOT_SECRET: 'Secret that holds the HubSpot private app token',
  TRIBUTARY_HUBSPOT_DAILY_SHARE: 'Share of the daily quota this pipeline may use, 0 to 1',
  TRIBUTARY_API_URL: 'Base URL of the REST API this function pulls from',
  TRIBUTARY_API_SECRET: 'Secret that holds its token',
  TRIBUTARY_DATABASE_SECRET: 'Secret that holds the connection URL of the PostgreSQL database',
  TRIBUTARY_COLLECT: 'Who may send events over HTTP: a JSON object (see CollectSettings)',
  TRIBUTARY_SPARK: 'Spark batches: a JSON object (see SparkSettings)',
  TRIBUTARY_ENDPOINTS:
    'Other endpoints than the public ones, by service: a JSON object; absent on a plain project',
} as const;

export type Variable = keyof typeof variables;

/**
 * What every function's process gets beside its own: settings of the C library's allocator. Pages
 * come and go as buffers of half a megabyte; by default freed ones are kept and the heap fragments,
 * so that memory grows with the length of a pull. A block of this size (bytes) is a mapping of its
 * own, returned when it is freed (mallopt(3)).
 */
export const allocator = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
} as const;

/** What `TRIBUTARY_SPARK` carries; built by `infra/`, read by `clients/batches.ts`. */
export interface SparkSettings {
  /** The project batches run in; absent = the function's own. */
  readonly project?: string;
  readonly runtimeVersion: string;
  readonly serviceAccount: string;
  readonly subnetworkUri: string;
  /** Bare name of the bucket for Dataproc's own staging. */
  readonly stagingBucket: string;
  /** `gs://…/transform.py` */
  readonly mainPythonFileUri: string;
  /** Modules, SQL and rendered contracts in one zip. */
  readonly pythonFileUris: readonly string[];
  readonly jarFileUris: readonly string[];
  /** After this the batch is ended from outside. */
  readonly ttlSeconds: number;
  readonly maxExecutors: number;
  /** Secret with the key of the address hash; the job reads it itself. */
  readonly hashKeySecret: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** What `TRIBUTARY_COLLECT` carries. */
export interface CollectSettings {
  /** Origins that browsers may send from, such as `https://shop.example.com`; `*` = any. */
  readonly origins: readonly string[];
  /** Requests a minute from one address; more are refused with 429. */
  readonly requestsPerMinute: number;
  /** Secret with a key that senders must name, of its own for that; absent = none is needed. */
  readonly keySecret?: string;
}

/** What a function may do; each becomes the narrowest grant there is for it. */
export type Need =
  | 'control' // read and write manifests, ledgers, checkpoints
  | 'land' // create objects in bronze
  | 'litter' // list and remove what no manifest names, in bronze
  | 'lake' // read silver and gold files, for loads
  | 'batches' // create and get Spark batches, as the Spark identity
  | 'warehouse' // load and change tables
  | 'ask' // read tables
  | 'messages' // take messages from the subscriptions that are drained
  | 'publish' // publish to the topics that are collected for
  | 'inbox'; // read uploaded files

/** Where messages come from: every one is an own push subscription with dead letters. */
export interface Inbox {
  readonly topic: string;
  /** A Scheduler job that publishes `{}` to the topic; pull topics take theirs from the contracts. */
  readonly schedule?: string;
  /** Finalised objects of a bucket under this prefix are published to the topic. */
  readonly notifies?: { readonly bucket: 'control' | 'inbox'; readonly prefix: string };
}

export interface FunctionSettings {
  /** Also the entry: `functions/<entry>.ts` exports a handler of this name. */
  readonly name: string;
  readonly entry: string;
  readonly about: string;
  readonly inboxes: readonly Inbox[];
  readonly needs: readonly Need[];
  /** The secret it reads of the world outside, by name. */
  readonly secret?: string;
  /** Functions it asks for a slice of work, itself perhaps; their topics are called as they are. */
  readonly asks?: readonly string[];
  /** Called over HTTP by whoever the environment lets; else only by its push subscriptions. */
  readonly open?: true;
  readonly variables: readonly Variable[];
  readonly memory: string;
  readonly cpu: string;
  readonly timeoutSeconds: number;
  readonly maxInstances: number;
  readonly concurrency: number;
}

const everywhere = [
  'TRIBUTARY_PROJECT',
  'TRIBUTARY_REGION',
  'TRIBUTARY_LOCATION',
  'TRIBUTARY_ENVIRONMENT',
  'TRIBUTARY_BUCKET_CONTROL',
  'TRIBUTARY_ENDPOINTS',
] as const satisfies readonly Variable[];

/** Slices of at most eight minutes, and one last page: the longest an event may keep a function. */
const SLICE_SECONDS = 540;

const pullFunction = (of: {
  readonly name: string;
  readonly about: string;
  readonly secret: string;
  readonly variables: readonly Variable[];
}): FunctionSettings => ({
  ...of,
  entry: 'pull',
  inboxes: [{ topic: of.name }],
  needs: ['control', 'land'],
  asks: [of.name],
  variables: [...everywhere, 'TRIBUTARY_BUCKET_BRONZE', ...of.variables],
  memory: '1Gi',
  cpu: '1',
  timeoutSeconds: SLICE_SECONDS,
  // One rate budget per credential: a second instance would not know what the first has spent.
  maxInstances: 1,
  // Every source may have its slice at once; a source's lease keeps it to one.
  concurrency: 8,
});

/** The secret that holds HubSpot's private app token, by name. */
export const hubspotSecret = 'hubspot-token';

/** The pull functions that these sources need: one per credential. */
export function pullFunctions(
  sources: Readonly<Record<string, SourceContract>>,
): readonly FunctionSettings[] {
  const found = new Map<string, FunctionSettings>();
  for (const { arrives } of Object.values(sources)) {
    const name = functionOf(arrives);
    if (found.has(name)) continue;
    if (arrives.kind === 'hubspot_email_events' || arrives.kind === 'hubspot_objects') {
      found.set(
        name,
        pullFunction({
          name,
          about: 'Pulls every source that needs the HubSpot credential',
          secret: hubspotSecret,
          variables: [
            'TRIBUTARY_HUBSPOT_URL',
            'TRIBUTARY_HUBSPOT_SECRET',
            'TRIBUTARY_HUBSPOT_DAILY_SHARE',
          ],
        }),
      );
    } else if (arrives.kind === 'rest_list') {
      found.set(
        name,
        pullFunction({
          name,
          about: `Pulls every list of the ${arrives.api} API`,
          secret: `${hyphened(arrives.api)}-api-token`,
          variables: ['TRIBUTARY_API_URL', 'TRIBUTARY_API_SECRET'],
        }),
      );
    } else if (arrives.kind === 'postgres_table') {
      found.set(
        name,
        pullFunction({
          name,
          about: `Copies tables of the PostgreSQL database ${arrives.database}`,
          secret: `${hyphened(arrives.database)}-database-url`,
          variables: ['TRIBUTARY_DATABASE_SECRET'],
        }),
      );
    }
  }
  return [...found.values()];
}

/** The function that takes in what arrives so; a tick for a source is published to its topic. */
export function functionOf(arrives: Arrival): string {
  switch (arrives.kind) {
    case 'hubspot_email_events':
    case 'hubspot_objects':
      return 'pull-hubspot';
    case 'rest_list':
      return `pull-${hyphened(arrives.api)}-api`;
    case 'postgres_table':
      return `pull-${hyphened(arrives.database)}-database`;
    case 'pubsub_messages':
      return 'drain';
    case 'uploaded_files':
      return 'upload';
  }
}

/** Whether a source is fetched window by window, and so has a checkpoint. */
export const isPulled = (arrives: Arrival): arrives is PulledArrival =>
  functionOf(arrives).startsWith('pull-');

const hyphened = (name: string): string => name.replaceAll('_', '-');

/** The subscription that a topic's messages are drained from. */
export const drainedSubscription = (topic: string): string => `${topic}--drain`;

/** The subscription that keeps what another one has given up. */
export const deadLetters = (subscription: string): string => `${subscription}-dead`;

/**
 * Slices of one tick of a drained source: its own and those that follow it at once while there is a
 * backlog. A slice takes some 45 seconds, a tick comes every minute: with a backlog so many drains of
 * a source are at work, and no more however long it lasts.
 */
export const drainSlices = 3;

const drainedSources = Object.values(catalog.sources).filter(
  ({ arrives }) => arrives.kind === 'pubsub_messages',
).length;

const pulling = pullFunctions(catalog.sources);

export const functions: readonly FunctionSettings[] = [
  ...pulling,
  {
    name: 'drain',
    entry: 'drain',
    about: 'Messages of the topics that others publish to become runs in bronze',
    inboxes: [{ topic: 'drain' }],
    needs: ['control', 'land', 'messages'],
    asks: ['drain'],
    variables: [...everywhere, 'TRIBUTARY_BUCKET_BRONZE'],
    memory: '1Gi',
    cpu: '1',
    // A slice takes messages for forty seconds; then they are landed and acknowledged.
    timeoutSeconds: 120,
    // Every source has its own: none waits for the backlog of another.
    maxInstances: drainSlices * Math.max(1, drainedSources),
    concurrency: 1,
  },
  {
    name: 'collect',
    entry: 'collect',
    about: 'Takes events over HTTP, from browsers and servers, and publishes them',
    inboxes: [],
    needs: ['publish'],
    open: true,
    variables: [
      'TRIBUTARY_PROJECT',
      'TRIBUTARY_REGION',
      'TRIBUTARY_LOCATION',
      'TRIBUTARY_ENVIRONMENT',
      'TRIBUTARY_ENDPOINTS',
      'TRIBUTARY_COLLECT',
    ],
    memory: '512M',
    cpu: '1',
    timeoutSeconds: 60,
    maxInstances: 10,
    // Events of concurrent requests share publish requests: the more at once, the fewer of those.
    concurrency: 500,
  },
  {
    name: 'upload',
    entry: 'upload',
    about: 'Files of the inbox become runs of the sources that their paths name',
    inboxes: [
      { topic: 'file-arrived', notifies: { bucket: 'inbox', prefix: '' } },
      { topic: 'file-arrived-tick', schedule: '*/10 * * * *' },
    ],
    needs: ['control', 'land', 'inbox'],
    variables: [...everywhere, 'TRIBUTARY_BUCKET_BRONZE', 'TRIBUTARY_BUCKET_INBOX'],
    // Read as they stream: twice a record of the largest size and a part on its way.
    memory: '1Gi',
    cpu: '1',
    timeoutSeconds: 540,
    maxInstances: 4,
    concurrency: 2,
  },
  {
    name: 'submit',
    entry: 'submit',
    about: 'Waiting runs of a domain become one Spark batch',
    inboxes: [
      { topic: 'run-landed', notifies: { bucket: 'control', prefix: 'runs/' } },
      { topic: 'batch-loaded', notifies: { bucket: 'control', prefix: 'loads/' } },
      { topic: 'submit-tick', schedule: '*/5 * * * *' },
    ],
    needs: ['control', 'batches'],
    variables: [
      ...everywhere,
      'TRIBUTARY_BUCKET_BRONZE',
      'TRIBUTARY_BUCKET_LAKE',
      'TRIBUTARY_BUCKET_REJECTED',
      'TRIBUTARY_SPARK',
    ],
    memory: '512M',
    cpu: '1',
    timeoutSeconds: 120,
    maxInstances: 3,
    concurrency: 8,
  },
  {
    name: 'load',
    entry: 'load',
    about: 'A batch manifest becomes rows: staging loads, then one fenced transaction',
    inboxes: [{ topic: 'batch-transformed', notifies: { bucket: 'control', prefix: 'batches/' } }],
    needs: ['control', 'lake', 'warehouse'],
    variables: [...everywhere, 'TRIBUTARY_BUCKET_LAKE'],
    memory: '512M',
    cpu: '1',
    timeoutSeconds: 540,
    maxInstances: 3,
    concurrency: 4,
  },
  {
    name: 'sweep',
    entry: 'sweep',
    about: 'Whatever stopped is started again; ops is rebuilt; litter is removed',
    inboxes: [{ topic: 'sweep-tick', schedule: '*/10 * * * *' }],
    needs: ['control', 'litter', 'lake', 'batches', 'warehouse'],
    asks: pulling.map(({ name }) => name),
    variables: [
      ...everywhere,
      'TRIBUTARY_BUCKET_BRONZE',
      'TRIBUTARY_BUCKET_LAKE',
      'TRIBUTARY_BUCKET_REJECTED',
      'TRIBUTARY_SPARK',
    ],
    memory: '512M',
    cpu: '1',
    timeoutSeconds: 540,
    maxInstances: 1,
    concurrency: 1,
  },
  {
    name: 'reconcile-hubspot',
    entry: 'reconcile',
    about: 'Our counts against the counters of HubSpot; what differs is pulled again',
    inboxes: [{ topic: 'reconcile-tick', schedule: '17 4 * * *' }],
    needs: ['control', 'ask'],
    asks: ['pull-hubspot'],
    variables: everywhere,
    memory: '512M',
    cpu: '1',
    timeoutSeconds: 540,
    maxInstances: 1,
    concurrency: 1,
  },
];

/** Every subscription's fixed terms (gcp.md, limits and delivery). */
export const delivery = {
  /** Seconds a message is kept while nobody takes it. */
  retentionSeconds: 7 * 24 * 3600,
  minimumBackoffSeconds: 10,
  maximumBackoffSeconds: 600,
  maxDeliveryAttempts: 10,
} as const;
