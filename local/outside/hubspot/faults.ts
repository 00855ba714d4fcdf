import type { FaultOf, HttpTrouble } from '../http/faults.ts';
import type { PolicyName } from './limits.ts';

/** What goes wrong with HubSpot alone. */
export type HubspotTrouble =
  | { readonly kind: 'rate_limit'; readonly policyName: PolicyName; readonly retryAfter?: string }
  /** 477: the account is being moved to another data centre. */
  | { readonly kind: 'migrating'; readonly retryAfter?: string }
  | { readonly kind: 'missing_scope'; readonly scopes: readonly string[] }
  /** `offset` is refused, however young. */
  | { readonly kind: 'expired_offset' }
  /** The page's `offset` is the one it was asked with. */
  | { readonly kind: 'same_offset' };

export type Trouble = HttpTrouble | HubspotTrouble;
export type Fault = FaultOf<Trouble>;
