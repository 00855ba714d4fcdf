import { expect, test } from 'vitest';
import { GroupCommit } from '../../../functions/group_commit.ts';
import { RequestRate } from '../../../functions/request_rate.ts';
import { virtualClock } from '../readers/virtual_world.ts';

function commits(options: { readonly sendMs: number; readonly fails?: (call: number) => boolean }) {
  const clock = virtualClock(0);
  const sent: { readonly at: number; readonly items: readonly string[] }[] = [];
  let most = 0;
  let now = 0;
  const commit = new GroupCommit<string>({
    clock,
    mostItems: 10,
    mostBytes: 100,
    parallel: 2,
    lingerMs: 5,
    send: async (items) => {
      const call = sent.push({ at: clock.now(), items });
      most = Math.max(most, ++now);
      await clock.sleep(options.sendMs);
      now -= 1;
      if (options.fails?.(call) === true) throw new Error(`request ${call}`);
    },
  });
  return { clock, commit, sent, most: () => most };
}

test('what comes within the linger shares a request, and all are answered with it', async () => {
  const { clock, commit, sent } = commits({ sendMs: 50 });
  await Promise.all(['a', 'b', 'c'].map((item) => commit.add([item], 1)));
  expect(sent).toEqual([{ at: 5, items: ['a', 'b', 'c'] }]);
  expect(clock.now()).toBe(55);
});

test('with enough requests on their way, what gathers goes out with the next that returns', async () => {
  const { clock, commit, sent, most } = commits({ sendMs: 50 });
  const all: Promise<void>[] = [];
  for (let i = 0; i < 40; i += 1) {
    all.push(commit.add([`e${i}`], 1));
    await clock.sleep(5);
  }
  await Promise.all(all);
  expect(most()).toBe(2);
  expect(sent.flatMap(({ items }) => items)).toEqual(Array.from({ length: 40 }, (_, i) => `e${i}`));
  expect(sent.length).toBeLessThan(12);
});

test('a request holds whole callers only, within both limits', async () => {
  const { commit, sent } = commits({ sendMs: 1 });
  const some = (n: number, name: string): string[] => Array.from({ length: n }, () => name);
  await Promise.all([
    commit.add(some(6, 'a'), 6),
    commit.add(some(6, 'b'), 6),
    commit.add(some(3, 'c'), 90),
    commit.add(some(1, 'd'), 20),
  ]);
  expect(sent.map(({ items }) => items.join(''))).toEqual(['aaaaaa', 'bbbbbbccc', 'd']);
});

test('a failed request fails exactly those in it', async () => {
  const { commit } = commits({ sendMs: 10, fails: (call) => call === 2 });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 30 }, (_, i) => commit.add([`e${i}`], 1)),
  );
  const failed = outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []));
  expect(failed).toEqual(Array.from({ length: 10 }, (_, i) => i + 10));
});

test('an address may send so many requests a minute, and forgets nobody too early', () => {
  const rate = new RequestRate(60, 2);
  for (let i = 0; i < 60; i += 1) expect(rate.wait('a', 0)).toBe(0);
  expect(rate.wait('a', 0)).toBe(1_000);
  expect(rate.wait('b', 0)).toBe(0);
  expect(rate.wait('a', 999)).toBe(1);
  expect(rate.wait('a', 1_000)).toBe(0);
  expect(rate.wait('a', 1_000)).toBe(1_000);
  // A third address: the one heard of longest ago is forgotten, and its bucket is full again.
  rate.wait('c', 1_000);
  expect(rate.wait('a', 1_000)).toBe(1_000);
  expect(new RequestRate(0).wait('a', 0)).toBe(0);
});
