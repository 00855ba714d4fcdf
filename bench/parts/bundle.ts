/** A function to compare ours with, written out here and bundled as ours are. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { inRoot } from '../../scripts/place.ts';

/**
 * @param source its module, which registers `handler` with the functions framework
 * @returns the folder that the framework starts: index.js and package.json
 */
export async function bundled(name: string, source: string, bundles: string): Promise<string> {
  const outdir = join(bundles, name);
  await build({
    stdin: { contents: source, resolveDir: inRoot() },
    outfile: join(outdir, 'index.js'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    minify: true,
    external: ['@google-cloud/functions-framework'],
    logLevel: 'silent',
  });
  await writeFile(join(outdir, 'package.json'), JSON.stringify({ name, main: 'index.js' }));
  return outdir;
}
