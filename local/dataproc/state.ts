/**
 * What Dataproc Serverless knows about batches and what it refuses; no sockets, no processes.
 *
 * States:  PENDING -> RUNNING -> SUCCEEDED | FAILED
 *          PENDING -> CANCELLED,  RUNNING -> CANCELLING -> CANCELLED
 *
 * Time and the program that does a batch's work are handed in, so that a simulation runs the very
 * same machine (gcp.md 4.1 is the source of the rules).
 */

/** gRPC status codes in use here. */
export const code = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  failedPrecondition: 9,
  unimplemented: 12,
} as const;

/** A call that Dataproc refuses, with its gRPC status code. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  constructor(status: number, message: string) {
    super(message);
    this.code = status;
  }
}

export type State = 'PENDING' | 'RUNNING' | 'CANCELLING' | 'CANCELLED' | 'SUCCEEDED' | 'FAILED';

/** The parts of a CreateBatch request that mean something to a batch. */
export interface BatchRequest {
  readonly labels: Readonly<Record<string, string>>;
  readonly mainPythonFileUri: string;
  readonly args: readonly string[];
  readonly pythonFileUris: readonly string[];
  readonly jarFileUris: readonly string[];
  readonly runtimeVersion: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly subnetworkUri: string;
  readonly stagingBucket: string;
  /** Null = not given: four hours. */
  readonly ttlSeconds: number | null;
}

export interface Batch {
  /** `projects/P/locations/L/batches/ID` */
  readonly name: string;
  readonly uuid: string;
  readonly requestId: string;
  /** `projects/P/regions/L/operations/UUID` */
  readonly operation: string;
  readonly request: BatchRequest;
  readonly state: State;
  readonly stateMessage: string;
  readonly createTime: number;
  readonly stateTime: number;
  readonly history: readonly {
    readonly state: State;
    readonly stateMessage: string;
    readonly stateStartTime: number;
  }[];
  /** `gs://…/driveroutput`: the prefix of the driver's output. */
  readonly outputUri: string;
}

export interface Ended {
  readonly exitCode: number;
  /** What to tell when it was not 0. */
  readonly message: string;
}

/** A batch's program at work. */
export interface Running {
  readonly ended: Promise<Ended>;
  /** Ends it at once; `ended` resolves afterwards. */
  stop(): void;
}

export interface Surroundings {
  readonly now: () => number;
  /** Calls back once after that long; the result calls it off. */
  readonly after: (ms: number, call: () => void) => () => void;
  readonly uuid: () => string;
  readonly start: (batch: Batch) => Running;
  /** Told of every change, before anybody can ask about it; null = the batch was deleted. */
  readonly remember: (name: string, batch: Batch | null) => void;
  /** Batches that run at once; the others wait as PENDING. */
  readonly parallel: number;
}

const FINAL: readonly State[] = ['SUCCEEDED', 'FAILED', 'CANCELLED'];
export const isFinal = (state: State): boolean => FINAL.includes(state);

const FOUR_HOURS = 4 * 3600;
const FOURTEEN_DAYS = 14 * 24 * 3600;

export class Dataproc {
  readonly #around: Surroundings;
  readonly #batches = new Map<string, Batch>();
  readonly #running = new Map<
    string,
    { readonly program: Running; readonly calmDown: () => void }
  >();
  #closed = false;

  /** @param known batches of an earlier life, as they were last remembered, oldest first */
  constructor(around: Surroundings, known: Iterable<Batch> = []) {
    this.#around = around;
    for (const batch of known) {
      this.#batches.set(batch.name, batch);
      // Its program went with the process that ran it; one that never began simply begins.
      if (batch.state === 'RUNNING') {
        this.#move(batch.name, 'FAILED', 'The driver was lost');
      } else if (batch.state === 'CANCELLING') {
        this.#move(batch.name, 'CANCELLED', 'Cancelled');
      }
    }
    this.#startNext();
  }

  /** Creates a batch, or gives the one that the same request id has made. */
  create(parent: string, batchId: string, requestId: string, request: BatchRequest): Batch {
    const place = /^projects\/([^/]+)\/locations\/([^/]+)$/.exec(parent);
    if (place === null) throw invalid(`parent "${parent}" is not projects/P/locations/L`);
    if (requestId !== '') {
      if (!/^[A-Za-z0-9_-]{1,40}$/.test(requestId)) {
        throw invalid(`request id "${requestId}" must be 1 to 40 of A-Z a-z 0-9 _ -`);
      }
      for (const batch of this.#batches.values()) {
        if (batch.requestId === requestId && batch.name.startsWith(`${parent}/`)) return batch;
      }
    }
    if (!/^[a-z0-9][a-z0-9-]{2,61}[a-z0-9]$/.test(batchId)) {
      throw invalid(`batch id "${batchId}" must be 4 to 63 of a-z 0-9 -, no - at either end`);
    }
    checkRequest(request);
    const name = `${parent}/batches/${batchId}`;
    if (this.#batches.has(name)) {
      throw new Refusal(
        code.alreadyExists,
        `Already exists: Failed to create batch: Batch ${name}`,
      );
    }
    const now = this.#around.now();
    const uuid = this.#around.uuid();
    const metainfo = `google-cloud-dataproc-metainfo/${uuid}/jobs/srvls-batch-${uuid}`;
    const batch: Batch = {
      name,
      uuid,
      requestId,
      operation: `projects/${place[1]}/regions/${place[2]}/operations/${this.#around.uuid()}`,
      request,
      state: 'PENDING',
      stateMessage: '',
      createTime: now,
      stateTime: now,
      history: [],
      outputUri: `gs://${request.stagingBucket}/${metainfo}/driveroutput`,
    };
    this.#batches.set(name, batch);
    this.#around.remember(name, batch);
    this.#startNext();
    return batch;
  }

  get(name: string): Batch {
    const batch = this.#batches.get(name);
    if (batch === undefined) throw new Refusal(code.notFound, `Not found: Batch ${name}`);
    return batch;
  }

  /** @param filter `state = FAILED` and `batch_id = X`, joined by AND; other forms are refused */
  list(
    parent: string,
    options: {
      readonly filter?: string;
      readonly orderBy?: string;
      readonly pageSize?: number;
      readonly pageToken?: string;
    } = {},
  ): { readonly batches: readonly Batch[]; readonly nextPageToken: string } {
    const matches = filterOf(options.filter ?? '');
    const order = options.orderBy ?? '';
    if (!['', 'create_time', 'create_time desc'].includes(order)) {
      throw invalid(`order "${order}": only create_time can order batches`);
    }
    const found = [...this.#batches.values()].filter(
      (batch) => batch.name.startsWith(`${parent}/batches/`) && matches(batch),
    );
    if (order === 'create_time desc') found.reverse();
    const start = Number(options.pageToken || 0);
    if (!Number.isSafeInteger(start) || start < 0) throw invalid('unknown page token');
    const size = Math.min(options.pageSize || 20, 1000);
    const end = start + size;
    return {
      batches: found.slice(start, end),
      nextPageToken: end < found.length ? String(end) : '',
    };
  }

  /** Forgets a batch that has ended, so that its id is free again. */
  delete(name: string): void {
    const batch = this.get(name);
    if (!isFinal(batch.state)) {
      throw new Refusal(
        code.failedPrecondition,
        `Batch ${name} is in state ${batch.state}; only a batch that has ended can be deleted`,
      );
    }
    this.#batches.delete(name);
    this.#around.remember(name, null);
  }

  /** The batch that an operation creates. */
  operation(name: string): Batch {
    for (const batch of this.#batches.values()) if (batch.operation === name) return batch;
    throw new Refusal(code.notFound, `Not found: Operation ${name}`);
  }

  cancel(operation: string): void {
    const batch = this.operation(operation);
    if (batch.state === 'PENDING') this.#move(batch.name, 'CANCELLED', 'Cancelled');
    if (batch.state !== 'RUNNING') return;
    this.#move(batch.name, 'CANCELLING', '');
    this.#running.get(batch.name)?.program.stop();
  }

  /** Ends the programs; a later life finds their batches as lost. Nothing starts any more. */
  async close(): Promise<void> {
    this.#closed = true;
    const programs = [...this.#running.values()];
    for (const { program, calmDown } of programs) {
      calmDown();
      program.stop();
    }
    await Promise.all(programs.map(({ program }) => program.ended));
  }

  #startNext(): void {
    for (const batch of this.#batches.values()) {
      if (this.#closed || this.#running.size >= this.#around.parallel) return;
      if (batch.state === 'PENDING') this.#run(batch.name);
    }
  }

  #run(name: string): void {
    const batch = this.#move(name, 'RUNNING', '');
    const seconds = batch.request.ttlSeconds ?? FOUR_HOURS;
    const program = this.#around.start(batch);
    let overtime = false;
    const calmDown = this.#around.after(seconds * 1000, () => {
      overtime = true;
      program.stop();
    });
    this.#running.set(name, { program, calmDown });
    program.ended.then(({ exitCode, message }) => {
      calmDown();
      this.#running.delete(name);
      if (this.#closed) return;
      const state = this.#batches.get(name)?.state;
      if (state === 'CANCELLING') this.#move(name, 'CANCELLED', 'Cancelled');
      else if (overtime) this.#move(name, 'FAILED', `Ended after its ttl of ${seconds} s`);
      else if (exitCode === 0) this.#move(name, 'SUCCEEDED', '');
      else this.#move(name, 'FAILED', `Job failed with exit code ${exitCode}: ${message}`);
      this.#startNext();
    });
  }

  #move(name: string, state: State, stateMessage: string): Batch {
    const before = this.get(name);
    const past = {
      state: before.state,
      stateMessage: before.stateMessage,
      stateStartTime: before.stateTime,
    };
    const batch: Batch = {
      ...before,
      state,
      stateMessage,
      stateTime: this.#around.now(),
      history: [...before.history, past],
    };
    this.#batches.set(name, batch);
    this.#around.remember(name, batch);
    return batch;
  }
}

const invalid = (message: string): Refusal => new Refusal(code.invalidArgument, message);

/** Refuses what the service would refuse, and what would not run on it (gcp.md 4.1 to 4.3). */
function checkRequest(request: BatchRequest): void {
  if (!/^gs:\/\/.+\.py$/.test(request.mainPythonFileUri)) {
    throw invalid(`main file "${request.mainPythonFileUri}" must be a .py file on gs://`);
  }
  for (const uri of request.pythonFileUris) {
    if (!/^gs:\/\/.+\.(py|zip|egg)$/.test(uri)) {
      throw invalid(`python file "${uri}" must be a .py, .zip or .egg file on gs://`);
    }
  }
  for (const uri of request.jarFileUris) {
    if (!/^gs:\/\/.+\.jar$/.test(uri)) throw invalid(`jar "${uri}" must be a .jar file on gs://`);
  }
  const labels = Object.entries(request.labels);
  const wrong = labels.find(
    ([name, value]) =>
      !/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name) ||
      !/^([a-z]([-a-z0-9]{0,61}[a-z0-9])?)?$/.test(value),
  );
  if (labels.length > 32 || wrong !== undefined) {
    throw invalid(`labels must be at most 32 RFC 1035 names and values: ${wrong?.join('=')}`);
  }
  // Spark 3.5 with Java 17: what runs here. Without a version the service takes an older one.
  if (!/^2\.3(\.|$)/.test(request.runtimeVersion)) {
    throw invalid(`runtime "${request.runtimeVersion}": only 2.3 runs locally`);
  }
  const ttl = request.ttlSeconds;
  if (ttl !== null && !(ttl >= 600 && ttl <= FOURTEEN_DAYS)) {
    throw invalid(`ttl of ${ttl} s must be 10 minutes to 14 days`);
  }
  if (request.stagingBucket === '' || /[:/]/.test(request.stagingBucket)) {
    throw invalid(`staging bucket "${request.stagingBucket}" must be a bare bucket name`);
  }
  for (const [name, value] of Object.entries(request.properties)) {
    if (!name.startsWith('spark.') && !name.startsWith('dataproc.')) {
      throw invalid(`property "${name}" is not a Spark property`);
    }
    if (name === 'spark.shuffle.service.enabled' || (name === 'spark.master' && value === 'yarn')) {
      throw invalid(`property ${name}=${value} is not allowed on Dataproc Serverless`);
    }
  }
}

function filterOf(filter: string): (batch: Batch) => boolean {
  if (filter.trim() === '') return () => true;
  const terms = filter.split(/\s+AND\s+/i).map((term) => {
    const parts = /^\s*(state|batch_id)\s*=\s*"?([\w-]+)"?\s*$/.exec(term);
    if (parts === null) throw invalid(`filter "${term}" is not supported locally`);
    return parts;
  });
  return (batch) =>
    terms.every(([, field, value]) =>
      field === 'state' ? batch.state === value : batch.name.split('/').at(-1) === value,
    );
}
