import type { FaultOf, HttpTrouble } from '../http/faults.ts';

/** What goes wrong with the orders API alone. */
export type OrdersTrouble =
  | { readonly kind: 'forbidden' }
  /** A page of HTML with status 200, as a gateway in trouble gives. */
  | { readonly kind: 'gateway_page' }
  /** A cursor is refused, however young. */
  | { readonly kind: 'expired_cursor' }
  /** The page names the cursor it was asked with as its next. */
  | { readonly kind: 'same_cursor' }
  /** The token is repeated in the answer. */
  | { readonly kind: 'echoed_token' };

export type Trouble = HttpTrouble | OrdersTrouble;
export type Fault = FaultOf<Trouble>;
