import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "tests/page/serve.ts",
    fileParallelism: false, // a browser takes all cores
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
