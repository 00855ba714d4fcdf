import type { Answer, Request } from './answer.ts';
import type { Faults } from './faults.ts';
import type { Requests } from './requests.ts';

/** A stand-in of an HTTP API without sockets: each request is answered by a value. */
export interface HttpService {
  readonly requests: Requests;
  readonly faults: Pick<Faults<never>, 'add' | 'clear'>;
  answer(request: Request): Answer;
  /** How long the next answer takes. */
  nextLatencyMs(): number;
}
