/**
 * Finds the contracts by their place, checks the catalog's rules and says what every derived file
 * must contain. Writes nothing.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DomainContract, SourceContract, TableContract } from '../contract.ts';
import { bigqueryColumns } from './bigquery.ts';
import { dictionary } from './dictionary.ts';
import { rowSchema } from './json_schema.ts';
import { type Catalog, catalogFaults } from './rules.ts';
import { sourceStruct, tableStruct } from './spark.ts';

export type Kind = 'domain' | 'source' | 'table';

/** A contract's file: its place is its name. */
export interface ContractFile {
  readonly kind: Kind;
  readonly domain: string;
  /** Without the domain; a domain's own is its domain's. */
  readonly name: string;
  /** Path below the schemas folder, with forward slashes. */
  readonly path: string;
  /** Name of its one export. */
  readonly export: string;
}

export interface Found {
  readonly files: readonly ContractFile[];
  readonly catalog: Catalog;
}

/** The catalog breaks a rule; every fault at once. */
export class WrongCatalog extends Error {
  override readonly name = 'WrongCatalog';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`the contracts are wrong:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

/** Folders beside the domains that hold no contracts. */
const notDomains = ['derive', 'rendered'];

/**
 * Reads every contract below a schemas folder.
 * @throws WrongCatalog when a file does not export exactly one contract under its own name
 */
export async function findContracts(schemas: string): Promise<Found> {
  const files: ContractFile[] = [];
  const faults: string[] = [];
  const domains: Record<string, DomainContract> = {};
  const sources: Record<string, SourceContract> = {};
  const tables: Record<string, TableContract> = {};

  const read = async (kind: Kind, domain: string, name: string, path: string): Promise<unknown> => {
    const module: Readonly<Record<string, unknown>> = await import(
      pathToFileURL(join(schemas, path)).href
    );
    const exported = Object.keys(module).sort();
    const [only] = exported;
    if (only === undefined || exported.length > 1) {
      faults.push(`${path}: exports ${exported.join(', ') || 'nothing'}, not one contract`);
      return undefined;
    }
    if (kind !== 'domain' && only !== name) {
      faults.push(`${path}: exports ${only}, but its place names it ${name}`);
      return undefined;
    }
    files.push({ kind, domain, name, path, export: only });
    return module[only];
  };

  for (const domain of await folders(schemas)) {
    if (notDomains.includes(domain)) continue;
    if ((await scripts(join(schemas, domain))).includes('domain')) {
      const value = await read('domain', domain, domain, `${domain}/domain.ts`);
      if (value !== undefined) domains[domain] = value as DomainContract;
    }
    for (const name of await scripts(join(schemas, domain, 'sources'))) {
      const value = await read('source', domain, name, `${domain}/sources/${name}.ts`);
      if (value !== undefined) sources[`${domain}.${name}`] = value as SourceContract;
    }
    for (const name of await scripts(join(schemas, domain, 'tables'))) {
      const value = await read('table', domain, name, `${domain}/tables/${name}.ts`);
      if (value !== undefined) tables[`${domain}.${name}`] = value as TableContract;
    }
  }
  if (faults.length > 0) throw new WrongCatalog(faults);
  return { files, catalog: { domains, sources, tables } };
}

const folders = async (path: string): Promise<readonly string[]> =>
  (await readdir(path, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

/** Names of the TypeScript files in a folder, without the ending; none when it is absent. */
async function scripts(path: string): Promise<readonly string[]> {
  try {
    return (await readdir(path))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => name.slice(0, -'.ts'.length))
      .sort();
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fault;
  }
}

/**
 * Every derived file by its path from the project's root.
 * @throws WrongCatalog when a rule of the catalog is broken
 */
export function derivedFiles({ files, catalog }: Found): ReadonlyMap<string, string> {
  const faults = catalogFaults(catalog);
  if (faults.length > 0) throw new WrongCatalog(faults);
  const derived = new Map<string, string>();
  const add = (path: string, value: unknown) =>
    derived.set(path, `${JSON.stringify(value, null, 2)}\n`);
  for (const [name, contract] of Object.entries(catalog.domains)) {
    add(`schemas/rendered/${name}/domain.json`, { name, kind: 'domain', contract });
  }
  for (const [name, contract] of Object.entries(catalog.sources)) {
    add(renderedPath(name), {
      name,
      kind: 'source',
      contract,
      spark: sourceStruct(contract),
      json_schema: rowSchema(name, contract, 'source'),
    });
  }
  for (const [name, contract] of Object.entries(catalog.tables)) {
    add(renderedPath(name), {
      name,
      kind: 'table',
      contract,
      bigquery: bigqueryColumns(contract),
      spark: tableStruct(contract),
      json_schema: rowSchema(name, contract, 'table'),
    });
  }
  derived.set('schemas/rendered/catalog.ts', catalogModule(files));
  derived.set('docs/data-dictionary.md', dictionary(catalog));
  return derived;
}

const renderedPath = (name: string) => `schemas/rendered/${name.replace('.', '/')}.json`;

/** Imports every contract: a function's bundle cannot read folders. */
function catalogModule(files: readonly ContractFile[]): string {
  const alias = (file: ContractFile) => `${file.kind}_${file.domain}_${file.name}`;
  const of = (kind: Kind) => files.filter((file) => file.kind === kind);
  const entries = (kind: Kind) =>
    of(kind).map((file) =>
      kind === 'domain'
        ? `    ${file.domain}: ${alias(file)},`
        : `    '${file.domain}.${file.name}': ${alias(file)},`,
    );
  return `${[
    '/** Every contract, by name. Written by `./tributary render`; never edited. */',
    "import type { DomainContract, SourceContract, TableContract } from '../contract.ts';",
    ...files.map((file) => `import { ${file.export} as ${alias(file)} } from '../${file.path}';`),
    '',
    'export const catalog: {',
    '  readonly domains: Readonly<Record<string, DomainContract>>;',
    '  readonly sources: Readonly<Record<string, SourceContract>>;',
    '  readonly tables: Readonly<Record<string, TableContract>>;',
    '} = {',
    '  domains: {',
    ...entries('domain'),
    '  },',
    '  sources: {',
    ...entries('source'),
    '  },',
    '  tables: {',
    ...entries('table'),
    '  },',
    '};',
  ].join('\n')}\n`;
}
