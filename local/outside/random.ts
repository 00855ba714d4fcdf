/**
 * Seeded numbers for made-up worlds. Everything is a function of its arguments, so that any
 * single event can be produced again without producing the ones before it.
 */

/** A 32-bit hash of some integers (murmur3's finaliser after each). */
export function hash(...parts: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const part of parts) {
    h = Math.imul(h ^ (part | 0), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return h >>> 0;
}

/** Gives one number in [0, 1) after the other. */
export type Draw = () => number;

/** `mulberry32`: small, and good enough for made-up people. */
export function draws(seed: number): Draw {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A whole number in [from, to]. */
export function between(draw: Draw, from: number, to: number): number {
  return from + Math.floor(draw() * (to - from + 1));
}

/** One of the values, by weight. */
export function pick<T>(
  draw: Draw,
  choices: readonly { readonly weight: number; readonly value: T }[],
): T {
  let total = 0;
  for (const choice of choices) total += choice.weight;
  let at = draw() * total;
  for (const choice of choices) {
    at -= choice.weight;
    if (at < 0) return choice.value;
  }
  return (choices[choices.length - 1] as { readonly value: T }).value;
}

const hex = (n: number, digits: number): string => n.toString(16).padStart(8, '0').slice(-digits);

/** A version-3 UUID, as HubSpot's event ids are, from three integers. */
export function uuid(a: number, b: number, c: number): string {
  const w = hash(a, b, c, 1);
  const x = hash(a, b, c, 2);
  const y = hash(a, b, c, 3);
  const z = hash(a, b, c, 4);
  const variant = (8 + (x & 3)).toString(16);
  return `${hex(w, 8)}-${hex(x >>> 4, 4)}-3${hex(y >>> 8, 3)}-${variant}${hex(y, 3)}-${hex(z, 8)}${hex(x, 4)}`;
}
