/**
 * The functions that are deployed, as pure data: the one file of this folder that `infra/` reads.
 * What a function may touch follows from `needs`; `infra/` grants exactly that.
 */

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
  TRIBUTARY_TOPIC_PULL: 'Topic on which this pull function asks for its own continuation',
  TRIBUTARY_HUBSPOT_URL: 'Base URL of the HubSpot API',
  TRIBUTARY_HUBSPOT_SECRET: 'Secret that holds the HubSpot private app token',
  TRIBUTARY_HUBSPOT_DAILY_SHARE: 'Share of the daily quota this pipeline may use, 0 to 1',
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

/** What a function may do; each becomes the narrowest grant there is for it. */
export type Need =
  | 'control' // read and write manifests, ledgers, checkpoints
  | 'land' // create objects in bronze
  | 'litter' // list and remove what no manifest names, in bronze
  | 'lake' // read silver and gold files, for loads
  | 'batches' // create and get Spark batches, as the Spark identity
  | 'warehouse' // load and change tables
  | 'ask' // read tables
  | 'hubspot' // the HubSpot token
  | 'pull'; // publish to the pull topic

/** Where messages come from: every one is an own push subscription with dead letters. */
export interface Inbox {
  readonly topic: string;
  /** A Scheduler job that publishes `{}` to the topic; pull topics take theirs from the contracts. */
  readonly schedule?: string;
  /** Finalised objects of the control bucket under this prefix are published to the topic. */
  readonly notifies?: string;
}

export interface FunctionSettings {
  /** Also the entry: `functions/<entry>.ts` exports a handler of this name. */
  readonly name: string;
  readonly entry: string;
  readonly about: string;
  readonly inboxes: readonly Inbox[];
  readonly needs: readonly Need[];
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

export const functions: readonly FunctionSettings[] = [
  {
    name: 'pull-hubspot',
    entry: 'pull',
    about: 'Pulls every source that needs the HubSpot credential, in slices of at most 8 minutes',
    inboxes: [{ topic: 'pull-hubspot' }],
    needs: ['control', 'land', 'hubspot', 'pull'],
    variables: [
      ...everywhere,
      'TRIBUTARY_BUCKET_BRONZE',
      'TRIBUTARY_TOPIC_PULL',
      'TRIBUTARY_HUBSPOT_URL',
      'TRIBUTARY_HUBSPOT_SECRET',
      'TRIBUTARY_HUBSPOT_DAILY_SHARE',
    ],
    memory: '1Gi',
    cpu: '1',
    timeoutSeconds: 540,
    // One rate budget per token: a second instance would not know what the first has spent.
    maxInstances: 1,
    // Every source may have its slice at once; a source's lease keeps it to one.
    concurrency: 8,
  },
  {
    name: 'submit',
    entry: 'submit',
    about: 'Waiting runs of a domain become one Spark batch',
    inboxes: [
      { topic: 'run-landed', notifies: 'runs/' },
      { topic: 'batch-loaded', notifies: 'loads/' },
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
    inboxes: [{ topic: 'batch-transformed', notifies: 'batches/' }],
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
    needs: ['control', 'litter', 'lake', 'batches', 'warehouse', 'pull'],
    variables: [
      ...everywhere,
      'TRIBUTARY_BUCKET_BRONZE',
      'TRIBUTARY_BUCKET_LAKE',
      'TRIBUTARY_BUCKET_REJECTED',
      'TRIBUTARY_TOPIC_PULL',
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
    needs: ['control', 'ask', 'pull'],
    variables: [...everywhere, 'TRIBUTARY_TOPIC_PULL'],
    memory: '512M',
    cpu: '1',
    timeoutSeconds: 540,
    maxInstances: 1,
    concurrency: 1,
  },
];

/** The pull function that serves a kind of source; one deployment per credential. */
export const pullFunctionOf: Readonly<Record<string, string>> = {
  hubspot_email_events: 'pull-hubspot',
  hubspot_objects: 'pull-hubspot',
};

/** Every subscription's fixed terms (gcp.md, limits and delivery). */
export const delivery = {
  /** Seconds a message is kept while nobody takes it. */
  retentionSeconds: 7 * 24 * 3600,
  minimumBackoffSeconds: 10,
  maximumBackoffSeconds: 600,
  maxDeliveryAttempts: 10,
} as const;
