/** Secret Manager: values from the environment or made up once, kept in a file only we may read. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

interface Version {
  readonly version: number;
  readonly value: string;
}

/** `hubspot-token` is taken from `HUBSPOT_TOKEN`. */
const variableOf = (secret: string): string => secret.toUpperCase().replaceAll('-', '_');

export class Secrets {
  readonly #file: string;
  readonly #names: readonly string[];
  #versions: Readonly<Record<string, Version>>;

  /** @param environment values that a person gives; a changed one is a new version */
  constructor(
    file: string,
    names: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#file = file;
    this.#names = names;
    this.#versions = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Version>)
      : {};
    for (const name of names) {
      const given = environment[variableOf(name)];
      const kept = this.#versions[name];
      const value = given || kept?.value || randomBytes(32).toString('hex');
      if (value !== kept?.value) this.add(name, value);
    }
  }

  /** Adds a version, which counts from now on. @returns its number */
  add(name: string, value: string): number {
    const version = (this.#versions[name]?.version ?? 0) + 1;
    this.#versions = { ...this.#versions, [name]: { version, value } };
    const beside = `${this.#file}.new`;
    writeFileSync(beside, JSON.stringify(this.#versions, null, 2), { mode: 0o600 });
    chmodSync(beside, 0o600);
    renameSync(beside, this.#file);
    return version;
  }

  /** The newest version; null for a secret that is not declared. */
  latest(name: string): Version | null {
    return this.#names.includes(name) ? (this.#versions[name] ?? null) : null;
  }
}
