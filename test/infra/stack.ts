/** Synthesised stacks as the tests read them: plain JSON, without anything built. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'cdktf';
import type { Artifacts } from '../../infra/artifacts.ts';
import { type Environment, readEnvironments } from '../../infra/environment.ts';
import { TributaryStack } from '../../infra/stack.ts';
import type { Catalog } from '../../schemas/derive/rules.ts';
import { catalog } from '../../schemas/rendered/catalog.ts';

/** One resource as Terraform gets it. */
export type Resource = Readonly<Record<string, unknown>>;

export interface Stack {
  readonly text: string;
  /** Resources of a type by id; empty when there are none. */
  all(type: string): Readonly<Record<string, Resource>>;
  /** Types that occur. */
  readonly types: readonly string[];
  readonly data: Readonly<Record<string, Readonly<Record<string, Resource>>>>;
  readonly terraform: Resource;
}

/** Files that need not exist: synthesis only names them. */
export const artifacts = (sha256 = 'a'.repeat(64)): Artifacts => {
  const file = (path: string) => ({ path: `/dist/${path}`, sha256 });
  return {
    function: (name) => file(`${name}.zip`),
    jobMain: file('jobs/transform.py'),
    jobModules: file('jobs.zip'),
    jar: (jar) => ({ path: `/dist/jars/${jar.file}`, sha256: jar.sha256 }),
  };
};

export const environments: Readonly<Record<string, Environment>> = await readEnvironments();

const asTheyAre = new Map<string, Stack>();

/** `dev`, or another environment, as it is in the repository: synthesised once per test file. */
export function asItIs(name = 'dev'): Stack {
  const stack = asTheyAre.get(name) ?? synthesised({}, catalog, name);
  asTheyAre.set(name, stack);
  return stack;
}

/** An environment changed in places. */
export function synthesised(
  changes: Partial<Environment> = {},
  contracts: Catalog = catalog,
  name = 'dev',
  built: Artifacts = artifacts(),
): Stack {
  const environment = environments[name];
  if (environment === undefined) throw new Error(`no environment ${name}`);
  const outdir = mkdtempSync(join(tmpdir(), 'stack-'));
  try {
    const app = new App({ outdir });
    new TributaryStack(app, name, {
      environment: { ...environment, ...changes },
      catalog: contracts,
      artifacts: built,
      folder: join(outdir, 'stacks', name),
    });
    app.synth();
    const text = readFileSync(join(outdir, 'stacks', name, 'cdk.tf.json'), 'utf8');
    const parsed = JSON.parse(text) as {
      readonly resource: Readonly<Record<string, Readonly<Record<string, Resource>>>>;
      readonly data: Stack['data'];
      readonly terraform: Resource;
    };
    return {
      text,
      all: (type) => parsed.resource[type] ?? {},
      types: Object.keys(parsed.resource),
      data: parsed.data,
      terraform: parsed.terraform,
    };
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

/** The only resource of a type with these values; fails the test when there is none or several. */
export function only(stack: Stack, type: string, values: Resource): readonly [string, Resource] {
  const found = Object.entries(stack.all(type)).filter(([, resource]) =>
    Object.entries(values).every(([name, value]) => resource[name] === value),
  );
  const [first] = found;
  if (first === undefined || found.length > 1) {
    throw new Error(`${found.length} resources of ${type} have ${JSON.stringify(values)}`);
  }
  return first;
}

/** `${google_x.y.name}` as another resource writes it. */
export const reference = (type: string, id: string, attribute: string): string =>
  `\${${type}.${id}.${attribute}}`;
