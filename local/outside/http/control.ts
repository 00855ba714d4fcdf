import type { Answer } from './answer.ts';
import type { FaultOf, HttpTrouble } from './faults.ts';
import type { HttpService } from './service.ts';

/** The body of a control request. */
type Given = Readonly<Record<string, unknown>>;

/** By method and name, as `POST orders`: what each does, and what it answers where it does. */
export type Controls = Readonly<Record<string, (given: Given, query: URLSearchParams) => unknown>>;

/**
 * The test's side of a stand-in, `/_stand-in/...`; no token, no limits.
 * GET  stats
 * POST faults {faults} | faults/clear | stats/reset | what the stand-in itself knows
 */
export function control(
  service: HttpService,
  own: Controls,
  {
    method,
    target,
    body,
  }: { readonly method: string; readonly target: string; readonly body: string },
): Answer {
  const { pathname, searchParams } = new URL(target, 'http://stand-in');
  const controls: Controls = {
    'GET stats': () => service.requests.stats(),
    'POST stats/reset': () => service.requests.reset(),
    'POST faults': ({ faults }) => service.faults.add(faults as readonly FaultOf<HttpTrouble>[]),
    'POST faults/clear': () => service.faults.clear(),
    ...own,
  };
  const name = `${method} ${pathname.replace('/_stand-in/', '')}`;
  const does = controls[name];
  if (does === undefined) return said(404, { error: `no such control: ${name}` });
  try {
    const given = body === '' ? {} : (JSON.parse(body) as Given);
    const answer = does(given, searchParams);
    return said(200, answer === undefined ? { done: true } : answer);
  } catch (fault) {
    return said(400, { error: fault instanceof Error ? fault.message : String(fault) });
  }
}

const said = (status: number, value: unknown): Answer => ({
  status,
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(value),
  ending: 'whole',
});
