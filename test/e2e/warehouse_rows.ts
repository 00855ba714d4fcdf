/** Rows of a warehouse's e-mail event table, turned back into the v1 events they came from. */
import { readFileSync } from 'node:fs';

/** Fields of one line; the file quotes what holds a comma. */
function fields(line: string): readonly string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}

const ms = (text: string): number => Date.parse(`${text.replace(' ', 'T')}Z`);

/** One v1 event per row, as NDJSON; empty fields are left out, as HubSpot leaves them out. */
export function eventsOf(file: string): string {
  const [head = '', ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/);
  const names = fields(head);
  const events = lines.map((line) => {
    const values = fields(line);
    const row = Object.fromEntries(names.map((name, at) => [name, values[at] ?? '']));
    const of = (name: string): string => row[name] ?? '';
    const reference = (name: string): object | undefined =>
      of(`${name}_id`) === ''
        ? undefined
        : { id: of(`${name}_id`), created: ms(of(`${name}_created`)) };
    return JSON.stringify({
      id: of('id'),
      created: ms(of('created')),
      type: of('type'),
      recipient: of('recipient'),
      portalId: Number(of('portal_id')),
      appId: Number(of('app_id')),
      emailCampaignId: Number(of('email_campaign_id')),
      filteredEvent: of('filtered_event') === '' ? undefined : of('filtered_event') === 'true',
      sentBy: reference('sent_by'),
      causedBy: reference('caused_by'),
      obsoletedBy: reference('obsoleted_by'),
    });
  });
  return `${events.join('\n')}\n`;
}
