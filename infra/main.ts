/** Synthesises every environment into `cdktf.out/stacks/<environment>/cdk.tf.json`. */
import { join, resolve } from 'node:path';
import { App } from 'cdktf';
import { catalog } from '../schemas/rendered/catalog.ts';
import { type Artifacts, builtArtifacts, NotBuilt } from './artifacts.ts';
import { type Environment, readEnvironments } from './environment.ts';
import { TributaryStack } from './stack.ts';

const root = resolve(import.meta.dirname, '..');

/**
 * Writes the stacks.
 * @param options `environments`: by name, default all; `outdir`: default `cdktf.out`
 * @returns absolute path of each stack's file, by environment
 * @throws NotBuilt when something to deploy is not in `dist/`
 */
export async function synthesise(
  options: {
    readonly environments?: Readonly<Record<string, Environment>>;
    readonly artifacts?: Artifacts;
    readonly outdir?: string;
  } = {},
): Promise<Readonly<Record<string, string>>> {
  const outdir = options.outdir ?? process.env['CDKTF_OUTDIR'] ?? join(root, 'cdktf.out');
  const environments = options.environments ?? (await readEnvironments());
  const artifacts = options.artifacts ?? builtArtifacts(root);
  const app = new App({ outdir: resolve(root, outdir) });
  const files: Record<string, string> = {};
  for (const [name, environment] of Object.entries(environments)) {
    const folder = join(resolve(root, outdir), 'stacks', name);
    new TributaryStack(app, name, { environment, catalog, artifacts, folder });
    files[name] = join(folder, 'cdk.tf.json');
  }
  app.synth();
  return files;
}

if (import.meta.main) {
  try {
    await synthesise();
  } catch (fault) {
    if (!(fault instanceof NotBuilt)) throw fault;
    console.error(fault.message);
    process.exitCode = 1;
  }
}
