import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    env: {
      METADATA_SERVER_DETECTION: 'none',
      TZ: 'UTC',
      // A driver of these tests runs one to three small batches, which never get back what Java's
      // second compiler costs: a third of all.
      JAVA_TOOL_OPTIONS: '-XX:TieredStopAtLevel=1',
    },
    testTimeout: 20_000,
    // Two cores are two workers; by default one of them would be kept free for a person.
    maxWorkers: 2,
  },
});
