/**
 * Start: how long each function's bundle takes until it answers, next to a function that does
 * nothing; and apart from that its first message.
 *
 * Both are started alternately, so that whatever else the machine does falls on both alike.
 *
 *   --rounds N    default 15
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type FunctionSettings, functions } from '../functions/settings.ts';
import { buildFunction } from '../scripts/build.ts';
import { inRoot } from '../scripts/place.ts';
import { bundled } from './parts/bundle.ts';
import { buildPreload, startFunction } from './parts/deployed_function.ts';
import { startProgram } from './parts/program.ts';
import { median, type Ratio, type Report, rounded, runBench } from './parts/report.ts';
import { type Services, startServices, variablesOf } from './parts/services.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    json: { type: 'boolean', default: false },
  },
});
const ROUNDS = Number(values.rounds);
const GOAL = 1.3;

/** A message that each function has to go to the cloud for, and that leaves nothing behind. */
const messages: Readonly<
  Record<string, { readonly data: unknown; readonly attributes?: Readonly<Record<string, string>> }>
> = {
  'pull-hubspot': { data: { source: 'email.owners' } },
  // Refused where they are sent here; that takes as long as an answer.
  'pull-orders-api': { data: { source: 'commerce.orders' } },
  'pull-shop-database': { data: { source: 'commerce.products' } },
  submit: { data: {} },
  load: { data: { batch: 'batches/email/0000000001.json' } },
  sweep: { data: {} },
  'reconcile-hubspot': { data: {} },
  drain: { data: { source: 'website.site_events' } },
};

/** Built like the others, and does nothing. */
const nothingAtAll = `import { http } from '@google-cloud/functions-framework';
  http('handler', (request, response) => { response.status(204).end(); });`;

await runBench('start', async (folder): Promise<Report> => {
  const preload = buildPreload(folder);
  const bundles = join(folder, 'bundles');
  for (const settings of functions) await buildFunction(settings, bundles);
  const bare = await bundled('bare', nothingAtAll, bundles);
  const services = await startServices(join(folder, 'services'));
  const hubspot = await startProgram(inRoot('local/outside/hubspot/main.ts'), [
    '--scale',
    '1000',
    '--until',
    '2026-11-01T00:00:00Z',
  ]);
  try {
    await putLedger(services.at);
    const start = (bundle: string, settings?: FunctionSettings) =>
      startFunction({
        bundle,
        preload,
        memoryMb: 512,
        logFile: join(folder, 'function.log'),
        variables:
          settings === undefined
            ? {}
            : variablesOf(settings, services.at, String(hubspot.said['url'])),
      });
    const rows: Record<string, string | number>[] = [];
    const ratios: Ratio[] = [];
    const data: Record<string, unknown> = {};
    for (const settings of functions) {
      const own: number[] = [];
      const nothing: number[] = [];
      const first: number[] = [];
      const memory: number[] = [];
      // One more round, which does not count: it brings the files into the cache.
      for (let round = -1; round < ROUNDS; round += 1) {
        const emptyOne = await start(bare);
        await emptyOne.close();
        const one = await start(join(bundles, settings.name), settings);
        const began = performance.now();
        if (settings.open === true) await fetch(one.url, { method: 'POST', body: '{}' });
        else await one.push(messages[settings.name] ?? { data: {} });
        const firstMs = performance.now() - began;
        const peak = one.peakMemory();
        await one.close();
        if (round < 0) continue;
        nothing.push(emptyOne.readyMs);
        own.push(one.readyMs);
        first.push(firstMs);
        memory.push(peak);
      }
      const ratio = median(own.map((ms, i) => ms / (nothing[i] ?? Number.NaN)));
      rows.push({
        function: settings.name,
        'ready ms': rounded(median(own)),
        'bare one ms': rounded(median(nothing)),
        ratio: rounded(ratio, 2),
        'first message ms': rounded(median(first)),
        'peak MB': rounded(median(memory) / 1e6),
      });
      ratios.push({
        about: `time to readiness, ${settings.name} : bare function`,
        ratio,
        goal: `under ${GOAL}`,
        met: ratio < GOAL,
      });
      data[settings.name] = { own, nothing, first };
    }
    return { rows, ratios, data };
  } finally {
    await Promise.all([services.close(), hubspot.close()]);
  }
});

/** Says that batch 1 is loaded: a message about it is a late copy, and is acknowledged. */
async function putLedger(at: Services): Promise<void> {
  const { emptyLedger } = await import('../functions/ledger.ts');
  const { storageObjects } = await import('../functions/clients/objects.ts');
  const { buckets, PROJECT } = await import('./parts/services.ts');
  const { place } = await import('../functions/manifest.ts');
  const objects = storageObjects({ project: PROJECT, endpoint: at.storage });
  const ledger = { ...emptyLedger('email'), sequence: 1, loaded: 1 };
  await objects.write(buckets.control, place.ledger('email'), Buffer.from(JSON.stringify(ledger)), {
    ifGeneration: '0',
    contentType: 'application/json',
  });
}
