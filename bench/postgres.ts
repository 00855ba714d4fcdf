/**
 * PostgreSQL: rows per processor second, client and server together, of a full copy of a table by
 * the pull function as it is deployed (gzip level 1, landed in Storage with its manifest), next to
 * connectorx from PyPI writing the same columns as CSV by pyarrow, gzip level 1 as well.
 *
 * A real server, filled once; both copy after a first copy by each has warmed its cache. Storage is
 * a process of its own and not counted; what connectorx writes goes to a plain file.
 *
 *   --rows N    default 2,000,000
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import type { RunManifest } from '../functions/manifest.ts';
import { functions } from '../functions/settings.ts';
import { asAdmin, startPostgres } from '../local/outside/postgres/server.ts';
import { fillShop } from '../local/outside/postgres/shop.ts';
import { postgresFolder } from '../local/outside/stand_ins.ts';
import { buildFunction } from '../scripts/build.ts';
import { inRoot, localFolder } from '../scripts/place.ts';
import { say } from '../scripts/progress.ts';
import { buildPreload, startFunction } from './parts/deployed_function.ts';
import { type Report, rounded, runBench } from './parts/report.ts';
import { buckets, startServices, variablesOf } from './parts/services.ts';

const CONNECTORX = ['connectorx==0.4.6', 'pyarrow==26.0.1'];
const COLUMNS = 'product_id, product_name, category, price, date, updated_at';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '2000000' },
    json: { type: 'boolean', default: false },
  },
});

interface Copied {
  readonly rows: number;
  readonly seconds: number;
  /** Processor seconds. */
  readonly client: number;
  readonly server: number;
  /** Bytes. */
  readonly peak: number;
  readonly written: number;
}

await runBench('postgres', async (folder): Promise<Report> => {
  const settings = functions.find(({ name }) => name === 'pull-shop-database');
  if (settings === undefined) throw new Error('there is no function pull-shop-database');
  await buildFunction(settings, join(folder, 'bundles'));
  const preload = buildPreload(folder);
  const python = await connectorx();
  const wanted = Number(values.rows);
  const postgres = await startPostgres({ folder: postgresFolder(folder) });
  try {
    say(`filling a table with ${wanted} rows`);
    const postmaster = await fillTable(postgres.adminUrl, wanted);
    const secrets = await secretsOf(postgres.url);
    let copies = 0;
    const pulled = async (): Promise<Copied> => {
      copies += 1;
      const root = join(folder, `services-${copies}`);
      const services = await startServices(root);
      const one = await startFunction({
        bundle: join(folder, 'bundles', settings.name),
        preload,
        memoryMb: 1_024,
        logFile: join(folder, 'pull.log'),
        variables: variablesOf(settings, { ...services.at, secrets: secrets.url }, ''),
      });
      try {
        const before = one.cpuSeconds();
        const served = serverSeconds(postmaster);
        const began = performance.now();
        await one.push({ data: { source: 'commerce.products' } });
        const seconds = (performance.now() - began) / 1_000;
        const landed = manifests(root);
        return {
          rows: landed.reduce((sum, { records }) => sum + records, 0),
          seconds,
          client: one.cpuSeconds() - before,
          server: serverSeconds(postmaster) - served,
          peak: one.peakMemory(),
          written: landed.reduce((sum, { bytes }) => sum + bytes, 0),
        };
      } finally {
        await one.close();
        await services.close();
      }
    };
    const copied = async (): Promise<Copied> => {
      const file = join(folder, 'copy.csv.gz');
      const served = serverSeconds(postmaster);
      const began = performance.now();
      const { stdout } = await promisify(execFile)(
        python,
        [inRoot('bench/parts/connectorx_copy.py'), `SELECT ${COLUMNS} FROM products`, file],
        { env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: postgres.url } },
      );
      const { rows, cpu, peak } = JSON.parse(stdout) as {
        readonly rows: number;
        readonly cpu: number;
        readonly peak: number;
      };
      return {
        rows,
        seconds: (performance.now() - began) / 1_000,
        client: cpu,
        server: serverSeconds(postmaster) - served,
        peak,
        written: statSync(file).size,
      };
    };
    say('copying once each, to warm the cache');
    await pulled();
    await copied();
    say('copying');
    const ours = await pulled();
    const theirs = await copied();
    await secrets.close();
    const speed = ({ rows, client, server }: Copied): number => rows / (client + server);
    const row = (copy: string, one: Copied) => ({
      copy,
      rows: one.rows,
      seconds: rounded(one.seconds, 1),
      'client CPU s': rounded(one.client, 1),
      'server CPU s': rounded(one.server, 1),
      'rows per CPU s': rounded(speed(one)),
      'peak MB': rounded(one.peak / 1e6),
      'written MB': rounded(one.written / 1e6),
    });
    const ratio = speed(ours) / speed(theirs);
    return {
      rows: [row('pull, as deployed', ours), row('connectorx', theirs)],
      ratios: [
        {
          about: `rows per processor second, client and server, pull : connectorx, ${wanted} rows`,
          ratio,
          goal: 'at least 1',
          met: ratio >= 1,
        },
        {
          about: 'peak memory of the client, pull : connectorx',
          ratio: ours.peak / theirs.peak,
          goal: '',
          met: true,
        },
        {
          about: 'rows that did not arrive : all',
          ratio: (wanted - ours.rows) / wanted,
          goal: '0',
          met: ours.rows === wanted,
        },
      ],
    };
  } finally {
    await postgres.close();
  }
});

/** A Python with connectorx, made once. @returns its program */
async function connectorx(): Promise<string> {
  const venv = join(localFolder, 'bench-connectorx');
  const python = join(venv, 'bin/python');
  const done = join(venv, 'installed');
  if (existsSync(done) && readFileSync(done, 'utf8') === CONNECTORX.join()) return python;
  say(`installing ${CONNECTORX.join(' and ')} (once)`);
  const run = promisify(execFile);
  await run('python3', ['-m', 'venv', venv]);
  await run(python, ['-m', 'pip', 'install', '--quiet', ...CONNECTORX]);
  writeFileSync(done, CONNECTORX.join());
  return python;
}

/** @returns the server's process id */
async function fillTable(adminUrl: string, rows: number): Promise<number> {
  await fillShop(adminUrl, { products: [], users: [] });
  return asAdmin(adminUrl, async (admin) => {
    await admin.query('ALTER TABLE products DISABLE TRIGGER ALL');
    await admin.query(
      `INSERT INTO products (product_id, product_name, category, price, date, updated_at)
       SELECT 'p-' || lpad(n::text, 8, '0'), 'Product number ' || n || ' of ' || md5(n::text),
         'Category ' || n % 97, (n * 37 % 100000)::numeric / 100, date '2020-01-01' + n % 2000,
         timestamptz '2026-01-01' + n * interval '7 seconds'
       FROM generate_series(1, $1::int) AS n`,
      [rows],
    );
    await admin.query('VACUUM ANALYZE products');
    const { rows: found } = await admin.query<{ file: string }>(
      "SELECT current_setting('data_directory') AS file",
    );
    const pid = readFileSync(join(found[0]?.file ?? '', 'postmaster.pid'), 'utf8').split('\n')[0];
    return Number(pid);
  });
}

/** Processor seconds of the server and of every backend there was (proc(5), fields 14 to 17). */
function serverSeconds(postmaster: number): number {
  const of = (pid: string | number, from: number, to: number): number => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return fields.slice(from, to).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
    } catch {
      return 0;
    }
  };
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
  const living = children.split(' ').filter((pid) => pid !== '');
  return of(postmaster, 11, 15) + living.reduce((sum, pid) => sum + of(pid, 11, 13), 0);
}

/** Secret Manager with one secret. */
async function secretsOf(value: string): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer((_request, response) => {
    const data = Buffer.from(value).toString('base64');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ payload: { data } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Every run manifest that was landed. */
function manifests(root: string): readonly RunManifest[] {
  const folder = join(root, 'storage', buckets.control, 'runs');
  mkdirSync(folder, { recursive: true });
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    .map(
      (entry) =>
        JSON.parse(readFileSync(join(entry.parentPath, entry.name), 'utf8')) as RunManifest,
    );
}
