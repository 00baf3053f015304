import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two heavy suites at once would only slow each other down on a small machine.
    maxWorkers: 2,
    // Whole runs in browsers take a while on a machine that is busy with others.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Of conditions in a browser, which a busy machine may take its time with.
    expect: { poll: { timeout: 60_000 } },
  },
});
