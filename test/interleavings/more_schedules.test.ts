/** The second half of the seeded schedules: two workers share them. */
import { test, vi } from 'vitest';
import { runSchedules, shareOf } from './schedules.ts';

vi.mock('../../schemas/rendered/catalog.ts', () => import('./contracts.ts'));
vi.mock('../../functions/readers/hubspot_objects.ts', () => ({ hubspotObjects: {} }));

const share = shareOf(1);

test.skipIf(share.count === 0)(
  `schedules from seed ${share.first} on end with the same tables`,
  { timeout: 3_600_000 },
  () => runSchedules(share),
);
