/** One run in which little goes wrong but what a test says. */
import { fair, type Pipeline, type Plan, run, type Weather } from './pipeline.ts';

/** Events of twenty minutes, nothing late: two or three batches in about forty minutes. */
export function scenario(
  options: Partial<Plan> & { readonly storm?: Partial<Weather> },
): Promise<Pipeline> {
  const { storm = {}, ...plan } = options;
  return run({
    seed: 8,
    trace: true,
    events: 40,
    lateness: 0,
    page: 5,
    listed: 4,
    settled: 46,
    patience: 300,
    weather: () => ({ ...fair, minutes: 60, ...storm }),
    ...plan,
  });
}
