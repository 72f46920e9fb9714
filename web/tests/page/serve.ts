/** Builds the page and serves it while the tests run. */

import { build, preview } from "vite";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    url: string;
  }
}

export default async function serve(project: TestProject): Promise<() => Promise<void>> {
  await build({ logLevel: "warn" });
  const server = await preview({ preview: { port: 4180 } });
  project.provide("url", server.resolvedUrls!.local[0]);
  return () => server.close();
}
