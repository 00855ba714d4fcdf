import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    env: { METADATA_SERVER_DETECTION: 'none', TZ: 'UTC' },
    testTimeout: 20_000,
    // Two cores are two workers; by default one of them would be kept free for a person.
    maxWorkers: 2,
  },
});
