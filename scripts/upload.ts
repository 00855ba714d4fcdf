/** Puts files into the inbox, from where they become rows of a source. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { uploadFile } from '../functions/clients/file_upload.ts';
import { endingOf, fileEndings } from '../functions/readers/uploaded_files.ts';
import { uploadRun } from '../functions/upload.ts';
import { catalog } from '../schemas/rendered/catalog.ts';
import { Failure } from './failure.ts';
import { say } from './progress.ts';
import { openTarget, sourceNamed, type Target, type TargetOptions, withTarget } from './target.ts';

/** What became of one file. */
export interface Uploaded {
  readonly file: string;
  /** Name of the object in the inbox. */
  readonly object: string;
  readonly bytes: number;
  /** `known` = a file with this content and this name is there already: nothing changes. */
  readonly state: 'uploaded' | 'known';
  /** The run it is landed as; null when it was uploaded before. */
  readonly run: string | null;
}

/**
 * Puts files into the inbox, under names that tell their content: the same file again is the same
 * object, another file of the same name another one.
 * @param how `again`: another object even of the same content, to have it read anew; `there` and
 *   `sent` are called with each file when it is there, and with the share that is on its way
 * @throws Failure before anything is sent when a file or the source cannot be taken
 */
export async function upload(
  target: Target,
  source: string,
  files: readonly string[],
  how: {
    readonly again?: boolean;
    readonly there?: (uploaded: Uploaded) => void;
    readonly sent?: (file: string, share: number) => void;
  } = {},
): Promise<readonly Uploaded[]> {
  const { domain, source: name } = takingFiles(source);
  const sizes = await sizesOf(files);
  const { project, buckets, endpoints } = target.config;
  const done: Uploaded[] = [];
  for (const [file, bytes] of sizes) {
    const digest = (await sha256(file)).slice(0, 16);
    const mark = how.again === true ? `${digest}-${Date.now().toString(36)}` : digest;
    const object = `${domain}/${name}/${inboxName(basename(file), mark)}`;
    const generation = await uploadFile({
      project,
      ...(endpoints.storage === undefined ? {} : { endpoint: endpoints.storage }),
      bucket: buckets.inbox,
      name: object,
      file,
      bytes,
      sent: (sent) => how.sent?.(file, bytes === 0 ? 1 : sent / bytes),
    });
    const uploaded: Uploaded = {
      file,
      object,
      bytes,
      ...(generation === null
        ? { state: 'known', run: null }
        : { state: 'uploaded', run: uploadRun(buckets.inbox, object, generation) }),
    };
    done.push(uploaded);
    how.there?.(uploaded);
  }
  return done;
}

/** @throws Failure naming the sources that take files, when this one does not */
function takingFiles(source: string): { readonly domain: string; readonly source: string } {
  const of = sourceNamed(source);
  if (catalog.sources[source]?.arrives.kind === 'uploaded_files') return of;
  const others = takers();
  throw new Failure(
    `${source} does not come in files; ${others.length === 0 ? 'no source does' : `these do: ${others.join(', ')}`}`,
  );
}

/** Sources that come in files. */
const takers = (): readonly string[] =>
  Object.entries(catalog.sources)
    .filter(([, { arrives }]) => arrives.kind === 'uploaded_files')
    .map(([name]) => name)
    .sort();

/** @throws Failure naming every file that cannot be taken */
async function sizesOf(files: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const faults: string[] = [];
  const sizes = new Map<string, number>();
  for (const file of files) {
    const found = await stat(file).catch(() => null);
    if (found === null) faults.push(`${file} does not exist`);
    else if (!found.isFile()) faults.push(`${file} is no file`);
    else if (endingOf(basename(file)) === null) {
      faults.push(
        `${file} ends in none of ${fileEndings.join(', ')} (each also with .gz); save it as one of these`,
      );
    } else sizes.set(file, found.size);
  }
  if (faults.length > 0) throw new Failure(`nothing was uploaded: ${faults.join('; ')}`);
  return sizes;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/**
 * `my file.csv.gz` -> `my_file-<mark>.csv.gz`; the mark tells the content. Signs that mean something in the inbox or in
 * addresses give way; a name that would be put aside there (`_`, `.` in front) does not stay so.
 */
export function inboxName(base: string, mark: string): string {
  const [ending = ''] = /\.[a-z0-9]+(?:\.gz)?$/i.exec(base) ?? [];
  const stem = base
    .slice(0, base.length - ending.length)
    .replace(/[^\p{L}\p{N}._-]+/gu, '_')
    .replace(/^[._]+/, '');
  return `${stem === '' ? 'file' : stem}-${mark}${ending.toLowerCase()}`;
}

/** Bytes as people read them. */
const size = (bytes: number): string =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** What comes next, and where to look. */
function next(target: Target, source: string): string {
  const [domain = ''] = source.split('.');
  const minutes = catalog.domains[domain]?.longest_wait_minutes;
  const env = target.name === 'local' ? '' : ` --env ${target.name}`;
  return `Landed within a minute; in the tables with the next batch of ${domain}, after ${minutes} minutes at most
  ./tributary settle${env}    starts it now and waits for it
  ./tributary rejected ${source}${env}    shows what could not be read, and why`;
}

export function declare(command: Command): void {
  withTarget(command)
    .argument('<source>', `full name of a source that takes files: ${takers().join(', ')}`)
    .argument('<file...>', `files ending in ${fileEndings.join(', ')}, each also with .gz`)
    .option('--again', 'even if a file with this content is there: have it read anew', false)
    .option('--json', 'print JSON', false)
    .addHelpText(
      'after',
      `
CSV begins with a header, in any order of columns; text is UTF-8. JSON is an array of objects or
objects one after another, NDJSON one object a line. The same file again changes nothing;
--again has it read anew, for instance after its contract was mended.

Examples:
  ./tributary upload commerce.flipkart_products flipkart.csv
  ./tributary upload commerce.flipkart_products *.csv.gz --env prod --json`,
    )
    .action(
      async (
        source: string,
        files: readonly string[],
        options: TargetOptions & { readonly json: boolean; readonly again: boolean },
      ) => {
        takingFiles(source);
        const target = await openTarget(options);
        const terminal = process.stderr.isTTY === true;
        const clear = (): void => void (terminal && process.stderr.write('\r\u001b[K'));
        const uploaded = await upload(target, source, files, {
          again: options.again,
          sent: (file, share) => {
            const percent = Math.floor(100 * Math.min(1, share));
            if (terminal) process.stderr.write(`\r${file}  ${percent} %`);
          },
          there: ({ file, bytes, state, object }) => {
            clear();
            const where = `gs://${target.config.buckets.inbox}/${object}`;
            if (options.json) return;
            if (state === 'uploaded') say(`uploaded  ${file}  ${size(bytes)}  ${where}`);
            else say(`known     ${file}  is there already, nothing changes  ${where}`);
          },
        });
        if (options.json) console.log(JSON.stringify({ source, files: uploaded }));
        else if (uploaded.some(({ state }) => state === 'uploaded')) {
          console.log(next(target, source));
        } else console.log('Nothing new was uploaded; --again has the same files read anew');
      },
    );
}
