/** The one script that is understood: the load transaction. */

import { unsupported } from '../refusal.ts';
import type { Dml, Statement } from './ast.ts';

export interface TransactionScript {
  readonly asserts: readonly Extract<Statement, { kind: 'assert' }>[];
  readonly changes: readonly Dml[];
}

/**
 * Reads `BEGIN TRANSACTION; ASSERT …; [DELETE | INSERT | UPDATE | MERGE] …; COMMIT TRANSACTION;`.
 * The asserts come first, so that nothing is changed before the fence is known to hold. Any other script is refused.
 */
export function transactionOf(statements: readonly Statement[]): TransactionScript {
  const [first, ...rest] = statements;
  const last = rest.pop();
  if (first?.kind !== 'begin' || last?.kind !== 'commit')
    throw unsupported(
      'A script other than BEGIN TRANSACTION; ASSERT …; changes; COMMIT TRANSACTION',
      first?.at ?? 0,
    );
  const asserts: Extract<Statement, { kind: 'assert' }>[] = [];
  const changes: Dml[] = [];
  for (const statement of rest) {
    if (statement.kind === 'assert') {
      if (changes.length > 0)
        throw unsupported('An ASSERT after a change in a transaction', statement.at);
      asserts.push(statement);
    } else if (isDml(statement)) changes.push(statement);
    else
      throw unsupported(
        `A ${statement.kind === 'query' ? 'SELECT' : statement.kind.toUpperCase()} within a transaction`,
        statement.at,
      );
  }
  if (asserts.length === 0)
    throw unsupported('A transaction without an ASSERT on its fence', first.at);
  return { asserts, changes };
}

export function isDml(statement: Statement | undefined): statement is Dml {
  return (
    statement !== undefined && ['insert', 'delete', 'update', 'merge'].includes(statement.kind)
  );
}
