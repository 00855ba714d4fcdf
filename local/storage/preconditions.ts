/** The `if...Match` conditions that every verb of the API takes. */
import { conditionNotMet, notModified } from './errors.ts';

export interface Preconditions {
  /** 0 = only if no live version exists. */
  readonly ifGenerationMatch?: number | string;
  readonly ifGenerationNotMatch?: number | string;
  readonly ifMetagenerationMatch?: number | string;
  readonly ifMetagenerationNotMatch?: number | string;
}

interface Version {
  readonly generation: number;
  readonly metageneration: number;
}

/**
 * Throws 412 if a condition fails; for reads a failed `...NotMatch` is 304. No object counts as
 * generation 0; a metageneration condition on no object fails.
 */
export function checkPreconditions(
  conditions: Preconditions,
  current: Version | undefined,
  verb: 'read' | 'write',
): void {
  const generation = current?.generation ?? 0;
  const metageneration = current?.metageneration ?? -1;
  const { ifGenerationMatch, ifGenerationNotMatch } = conditions;
  const { ifMetagenerationMatch, ifMetagenerationNotMatch } = conditions;
  if (ifGenerationMatch !== undefined && Number(ifGenerationMatch) !== generation) {
    throw conditionNotMet();
  }
  if (ifMetagenerationMatch !== undefined && Number(ifMetagenerationMatch) !== metageneration) {
    throw conditionNotMet();
  }
  const same =
    (ifGenerationNotMatch !== undefined && Number(ifGenerationNotMatch) === generation) ||
    (ifMetagenerationNotMatch !== undefined && Number(ifMetagenerationNotMatch) === metageneration);
  if (same) throw verb === 'read' ? notModified() : conditionNotMet();
}
