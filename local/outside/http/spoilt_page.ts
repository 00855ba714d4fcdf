import type { Spoilt } from './faults.ts';

/**
 * The body of a page that one of its records spoils.
 * @param records the JSON object of each record on the page
 * @param page writes the body of a page of such records
 */
export function spoiltPage(
  records: readonly string[],
  { at, how }: Spoilt,
  page: (records: readonly string[]) => string,
): string | Buffer {
  const record = records[at] as string;
  const noted = (note: string): string =>
    page(records.with(at, `${record.slice(0, -1)},"note":"${note}"}`));
  switch (how) {
    case 'garbled':
      return noted('\\x41');
    case 'cut': {
      const body = page(records.slice(0, at + 1));
      return body.slice(0, body.lastIndexOf(record) + Math.floor(record.length / 2));
    }
    case 'not_utf8': {
      const body = Buffer.from(noted('?!'));
      body[body.indexOf('"note":"?!"') + '"note":"'.length] = 0xff;
      return body;
    }
    case 'replaced':
      return '<html><body>An error occurred.</body></html>';
  }
}
