/** What the build leaves in `dist/` and Terraform uploads, named by content. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Jar } from './environment.ts';

export interface Artifact {
  /** Absolute path of the file. */
  readonly path: string;
  /** SHA-256 of its bytes, hexadecimal. */
  readonly sha256: string;
}

export interface Artifacts {
  /** A function's zip. */
  function(name: string): Artifact;
  /** The Spark job's main file. */
  readonly jobMain: Artifact;
  /** Its modules, SQL and rendered contracts. */
  readonly jobModules: Artifact;
  jar(jar: Jar): Artifact;
}

/** What was to be deployed has not been built. */
export class NotBuilt extends Error {
  override readonly name = 'NotBuilt';
}

/**
 * Reads `dist/` lazily.
 * @throws NotBuilt naming the file that is missing
 */
export function builtArtifacts(root: string): Artifacts {
  const read = (name: string): Artifact => {
    const path = join(root, 'dist', name);
    try {
      return { path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') };
    } catch (cause) {
      throw new NotBuilt(
        `dist/${name} is missing: run \`node scripts/build.ts\`, or ./tributary synth, which builds first`,
        { cause },
      );
    }
  };
  return {
    function: (name) => read(`${name}.zip`),
    get jobMain() {
      return read('jobs/transform.py');
    },
    get jobModules() {
      return read('jobs.zip');
    },
    // Not read here: only deploying needs the jars, and it checks them (scripts/deploy.ts).
    jar: ({ file, sha256 }) => ({ path: join(root, 'dist/jars', file), sha256 }),
  };
}
