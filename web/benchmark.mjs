// Measure the page in headless Chromium: what is loaded, times with one thread and with all, memory over many frames.
//   npm run benchmark              npm run benchmark -- 2000      frames of the camera for the memory; 0: none

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { build, preview } from "vite";

const frames = Number(process.argv[2] ?? 2000);
const CAMERA = fileURLToPath(new URL("tests/golden/camera.mjpeg", import.meta.url));
const CLIP = fileURLToPath(new URL("samples/clip.mp4", import.meta.url));
const FIRST = 200; // frames before memory is measured for the first time
const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"];
const camera = ["--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${CAMERA}`];

async function open(url, isolated) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: [...args, ...camera] });
  const context = await browser.newContext({ permissions: ["camera"], viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  if (!isolated) {
    await page.route(url, async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers() };
      delete headers["cross-origin-embedder-policy"];
      await route.fulfill({ response, headers });
    });
  }
  const sizes = { all: 0, networks: 0 };
  page.on("requestfinished", async (request) => {
    const { responseBodySize } = await request.sizes();
    sizes.all += responseBodySize;
    if (request.url().endsWith(".onnx")) sizes.networks += responseBodySize;
  });
  const start = performance.now();
  await page.goto(url);
  await page.waitForSelector("body[data-ready]", { timeout: 120_000 });
  return { browser, page, sizes, ready_ms: performance.now() - start };
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

async function said(page, pattern) {
  await page.locator("#status", { hasText: pattern }).waitFor({ timeout: 300_000 });
  return page.textContent("#status");
}

async function times(url, isolated) {
  const { browser, page, sizes, ready_ms } = await open(url, isolated);
  console.log(`${isolated ? "all threads" : "one thread"}: ${await page.textContent("#status")}`);
  const start = performance.now();
  await page.getByAltText("Sample: left").click();
  await said(page, /left: 1 hand/);
  const first_ms = ready_ms + performance.now() - start;
  console.log(`  ready after ${Math.round(ready_ms)} ms, first hand after ${Math.round(first_ms)} ms`);
  if (isolated) console.log(`  loaded: ${megabytes(sizes.all)}, ${megabytes(sizes.networks)} of it networks`);
  for (let round = 0; round < 3; round++) {
    await page.setInputFiles("#file", CLIP);
    await page.locator("#recording", { hasText: /Recording/ }).waitFor();
    await page.locator("#recording", { hasText: /Recorded/ }).waitFor({ timeout: 300_000 });
    console.log(`  ${await page.textContent("#status")}, ${await page.textContent("#speed")}`);
  }
  await page.click("#timings summary");
  await page.locator("#timings p", { hasText: "mesh" }).waitFor();
  console.log(`  ${await page.textContent("#timings p")}`);
  await browser.close();
}

async function memory(url) {
  const { browser, page } = await open(url, true);
  await page.click("#camera");
  await said(page, /camera: /);
  await page.evaluate(() => {
    window.count = 0;
    new MutationObserver(() => window.count++).observe(document.getElementById("hands"), { childList: true });
  });
  const session = await browser.newBrowserCDPSession();
  for (const count of [FIRST, frames]) {
    await page.waitForFunction((least) => window.count >= least, count, { timeout: 3_600_000, polling: 500 });
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const renderers = processInfo.filter(({ type }) => type === "renderer");
    const told = renderers.map(({ id }) => readFileSync(`/proc/${id}/status`, "utf-8"));
    const most = (name) => megabytes(1024 * Math.max(...told.map((text) => new RegExp(`${name}:\\s+(\\d+)`).exec(text)[1])));
    console.log(`after ${count} frames of the camera: ${most("RssAnon")} of its own, ${most("VmRSS")} with what is shared`);
  }
  await browser.close();
}

await build({ logLevel: "warn" });
const server = await preview({ preview: { port: 4190 } });
const url = server.resolvedUrls.local[0];
await times(url, true);
await times(url, false);
if (frames) await memory(url);
await server.close();
