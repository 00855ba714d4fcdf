import { describe, expect, it } from 'vitest';
import {
  type Batch,
  type BatchRequest,
  code,
  Dataproc,
  type Ended,
  Refusal,
} from '../../../local/dataproc/state.ts';

const parent = 'projects/p/locations/europe-west1';
const request: BatchRequest = {
  labels: { domain: 'email' },
  mainPythonFileUri: 'gs://code/v1/transform.py',
  args: ['--domain', 'email'],
  pythonFileUris: ['gs://code/v1/jobs.zip'],
  jarFileUris: ['gs://code/delta.jar'],
  runtimeVersion: '2.3',
  properties: {},
  serviceAccount: 'spark@p.iam.gserviceaccount.com',
  subnetworkUri: 'spark',
  stagingBucket: 'staging',
  ttlSeconds: 600,
};

/** Dataproc with programs that end when the test says so, and a clock that it moves. */
function surroundings(options: { parallel?: number; known?: readonly Batch[] } = {}) {
  let now = 0;
  let made = 0;
  const timers: { at: number; call: () => void }[] = [];
  const programs = new Map<string, { end: (ended: Ended) => void; stopped: boolean }>();
  const remembered = new Map<string, Batch>();
  const dataproc = new Dataproc(
    {
      now: () => now,
      after: (ms, call) => {
        const timer = { at: now + ms, call };
        timers.push(timer);
        return () => timers.splice(timers.indexOf(timer), 1);
      },
      uuid: () => `uuid-${++made}`,
      start: (batch) => {
        const { promise, resolve } = Promise.withResolvers<Ended>();
        const program = { end: resolve, stopped: false };
        programs.set(idOf(batch), program);
        return {
          ended: promise,
          stop: () => {
            program.stopped = true;
            resolve({ exitCode: 137, message: 'killed' });
          },
        };
      },
      remember: (name, batch) => {
        if (batch === null) remembered.delete(name);
        else remembered.set(name, batch);
      },
      parallel: options.parallel ?? 1,
    },
    options.known,
  );
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    dataproc,
    programs,
    remembered,
    async end(id: string, ended: Ended) {
      programs.get(id)?.end(ended);
      await settled();
    },
    async pass(ms: number) {
      now += ms;
      for (const timer of timers.filter(({ at }) => at <= now)) timer.call();
      await settled();
    },
    state: (id: string) => dataproc.get(`${parent}/batches/${id}`).state,
  };
}

const idOf = (batch: Batch): string => batch.name.split('/').at(-1) ?? '';
const ok: Ended = { exitCode: 0, message: '' };

const refusalOf = (call: () => unknown): number => {
  try {
    call();
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  throw new Error('it was not refused');
};

describe('Dataproc', () => {
  it('runs one batch after the other, in the order they came', async () => {
    const { dataproc, end, state } = surroundings();
    dataproc.create(parent, 'email-1-1', 'email-1-1', request);
    dataproc.create(parent, 'email-2-1', 'email-2-1', request);
    expect([state('email-1-1'), state('email-2-1')]).toEqual(['RUNNING', 'PENDING']);
    await end('email-1-1', ok);
    expect([state('email-1-1'), state('email-2-1')]).toEqual(['SUCCEEDED', 'RUNNING']);
  });

  it('gives the same operation for the same request id, and starts it once', () => {
    const { dataproc, programs } = surroundings();
    const first = dataproc.create(parent, 'email-1-1', 'email-1-1', request);
    const second = dataproc.create(parent, 'email-1-1', 'email-1-1', request);
    expect(second.operation).toBe(first.operation);
    expect(programs.size).toBe(1);
  });

  it('refuses a batch id that is taken, even after the batch failed', async () => {
    const { dataproc, end } = surroundings();
    dataproc.create(parent, 'email-1-1', 'first', request);
    await end('email-1-1', { exitCode: 1, message: 'boom' });
    const again = () => dataproc.create(parent, 'email-1-1', 'second', request);
    expect(refusalOf(again)).toBe(code.alreadyExists);
  });

  it('says why a batch failed', async () => {
    const { dataproc, end } = surroundings();
    const { name } = dataproc.create(parent, 'email-1-1', '', request);
    await end('email-1-1', { exitCode: 3, message: 'no such column' });
    expect(dataproc.get(name)).toMatchObject({
      state: 'FAILED',
      stateMessage: 'Job failed with exit code 3: no such column',
      history: [{ state: 'PENDING' }, { state: 'RUNNING' }],
    });
  });

  it('ends a batch after its ttl', async () => {
    const { dataproc, pass, programs, state } = surroundings();
    dataproc.create(parent, 'email-1-1', '', request);
    await pass(599_999);
    expect(state('email-1-1')).toBe('RUNNING');
    await pass(1);
    expect(state('email-1-1')).toBe('FAILED');
    expect(programs.get('email-1-1')?.stopped).toBe(true);
    expect(dataproc.get(`${parent}/batches/email-1-1`).stateMessage).toContain('ttl of 600 s');
  });

  it('cancels what waits at once and what runs when its program has ended', async () => {
    const { dataproc, end, pass, programs, state } = surroundings();
    const running = dataproc.create(parent, 'email-1-1', '', request);
    const waiting = dataproc.create(parent, 'email-2-1', '', request);
    dataproc.cancel(waiting.operation);
    dataproc.cancel(running.operation);
    expect([state('email-1-1'), state('email-2-1')]).toEqual(['CANCELLING', 'CANCELLED']);
    await pass(0);
    expect(state('email-1-1')).toBe('CANCELLED');
    expect(programs.has('email-2-1')).toBe(false);
    dataproc.cancel(running.operation);
    await end('email-1-1', ok);
    expect(state('email-1-1')).toBe('CANCELLED');
  });

  it('deletes only what has ended; then the id is free', async () => {
    const { dataproc, end, state, remembered } = surroundings();
    const { name } = dataproc.create(parent, 'email-1-1', '', request);
    expect(refusalOf(() => dataproc.delete(name))).toBe(code.failedPrecondition);
    await end('email-1-1', ok);
    dataproc.delete(name);
    expect(remembered.size).toBe(0);
    expect(refusalOf(() => dataproc.get(name))).toBe(code.notFound);
    dataproc.create(parent, 'email-1-1', '', request);
    expect(state('email-1-1')).toBe('RUNNING');
  });

  it('goes on after a restart: what ran is lost, what waited begins', async () => {
    const before = surroundings();
    before.dataproc.create(parent, 'email-1-1', 'email-1-1', request);
    before.dataproc.create(parent, 'email-2-1', 'email-2-1', request);
    const { dataproc, state } = surroundings({ known: [...before.remembered.values()] });
    expect([state('email-1-1'), state('email-2-1')]).toEqual(['FAILED', 'RUNNING']);
    expect(dataproc.get(`${parent}/batches/email-1-1`).stateMessage).toBe('The driver was lost');
  });

  it('ends running programs when it closes, and leaves their batches to the next life', async () => {
    const { dataproc, programs, remembered } = surroundings();
    const { name } = dataproc.create(parent, 'email-1-1', '', request);
    await dataproc.close();
    expect(programs.get('email-1-1')?.stopped).toBe(true);
    expect(remembered.get(name)?.state).toBe('RUNNING');
  });

  it('lists page by page, newest first when asked, by state and id', async () => {
    const { dataproc, end } = surroundings();
    for (const id of ['email-1-1', 'email-2-1', 'email-3-1']) {
      dataproc.create(parent, id, '', request);
    }
    await end('email-1-1', ok);
    const first = dataproc.list(parent, { pageSize: 2, orderBy: 'create_time desc' });
    expect(first.batches.map(idOf)).toEqual(['email-3-1', 'email-2-1']);
    const rest = dataproc.list(parent, {
      pageSize: 2,
      orderBy: 'create_time desc',
      pageToken: first.nextPageToken,
    });
    expect([rest.batches.map(idOf), rest.nextPageToken]).toEqual([['email-1-1'], '']);
    const waiting = dataproc.list(parent, { filter: 'state = PENDING AND batch_id = "email-3-1"' });
    expect(waiting.batches.map(idOf)).toEqual(['email-3-1']);
    expect(dataproc.list('projects/p/locations/other').batches).toEqual([]);
    const labels = () => dataproc.list(parent, { filter: 'labels.domain = email' });
    expect(refusalOf(labels)).toBe(code.invalidArgument);
  });

  const wrong: readonly { what: string; part: Partial<BatchRequest>; id?: string }[] = [
    { what: 'a batch id with capitals', part: {}, id: 'Email-1' },
    { what: 'a batch id of three characters', part: {}, id: 'e-1' },
    {
      what: 'a main file that is not in a bucket',
      part: { mainPythonFileUri: '/jobs/transform.py' },
    },
    {
      what: 'python files that are no archives',
      part: { pythonFileUris: ['gs://code/jobs.tar.gz'] },
    },
    { what: 'jars that are none', part: { jarFileUris: ['gs://code/delta.zip'] } },
    { what: 'a label with capitals', part: { labels: { domain: 'Email' } } },
    { what: 'a label with a dot', part: { labels: { version: '1.2' } } },
    { what: 'the runtime that is the default of the service', part: { runtimeVersion: '' } },
    { what: 'a runtime with another Spark', part: { runtimeVersion: '3.0' } },
    { what: 'a ttl under ten minutes', part: { ttlSeconds: 599 } },
    { what: 'a ttl over fourteen days', part: { ttlSeconds: 14 * 86400 + 1 } },
    { what: 'a staging bucket with a scheme', part: { stagingBucket: 'gs://staging' } },
    { what: 'a property that is not of Spark', part: { properties: { 'log.level': 'debug' } } },
    { what: 'yarn as the master', part: { properties: { 'spark.master': 'yarn' } } },
  ];
  it.each(wrong)('refuses $what', ({ part, id = 'email-1-1' }) => {
    const { dataproc } = surroundings();
    const create = () => dataproc.create(parent, id, '', { ...request, ...part });
    expect(refusalOf(create)).toBe(code.invalidArgument);
  });
});
