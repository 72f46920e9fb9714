/** What goes wrong is said, and the page goes on. */

import { readFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { openPage, openReadyPage, waitForStatus, type Opened } from "./browser";

const picture = readFileSync(new URL("../../../images/left_img.jpg", import.meta.url));
const clip = readFileSync(new URL("../../samples/clip.mp4", import.meta.url));

/** A black PNG of a size that it states; `rows` of them are there. */
function png(width: number, height: number, rows = height): Buffer {
  const chunk = (kind: string, content: Buffer): Buffer => {
    const named = Buffer.concat([Buffer.from(kind), content]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(content.length, 0);
    ends.writeUInt32BE(crc32(named), 4);
    return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const pixels = deflateSync(Buffer.alloc(rows * (width + 1)));
  const magic = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  return Buffer.concat([magic, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

function damaged(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.fill(value, at, at + 200);
  return changed;
}

const noise = Buffer.from(Uint8Array.from({ length: 5000 }, (_, index) => (index * 7919) % 251));
/** Name, type and content of files that are no pictures and no clips. */
const BAD: [string, string, Buffer][] = [
  ["empty.jpg", "image/jpeg", Buffer.alloc(0)],
  ["empty.png", "image/png", Buffer.alloc(0)],
  ["empty.mp4", "video/mp4", Buffer.alloc(0)],
  ["empty", "", Buffer.alloc(0)],
  ["text.jpg", "image/jpeg", Buffer.from("this is no picture")],
  ["text.txt", "text/plain", Buffer.from("this is no picture")],
  ["page.html", "text/html", Buffer.from("<img src=x onerror=alert(1)>")],
  ["<b>name</b>.jpg", "image/jpeg", noise],
  ["noise.jpg", "image/jpeg", noise],
  ["noise.png", "image/png", noise],
  ["noise.webp", "image/webp", noise],
  ["noise.gif", "image/gif", noise],
  ["noise.heic", "image/heic", noise],
  ["noise.mp4", "video/mp4", noise],
  ["noise.webm", "video/webm", noise],
  ["noise.mov", "video/quicktime", noise],
  ["noise.pdf", "application/pdf", noise],
  ["noise.zip", "application/zip", noise],
  ["start.jpg", "image/jpeg", picture.subarray(0, 100)],
  ["header.jpg", "image/jpeg", damaged(picture, 2, 0)],
  ["picture.mp4", "video/mp4", picture],
  ["clip.jpg", "image/jpeg", clip],
  ["start.mp4", "video/mp4", clip.subarray(0, 500)],
  ["end.mp4", "video/mp4", clip.subarray(5000)],
  ["zero.png", "image/png", png(0, 0)],
  ["huge.png", "image/png", png(60000, 60000, 1)],
];
/** Files that are pictures, without a hand. */
const EMPTY: [string, string, Buffer][] = [
  ["one.png", "image/png", png(1, 1)],
  ["line.png", "image/png", png(500, 1)],
  ["column.png", "image/png", png(1, 500)],
  ["thin.png", "image/png", png(70000, 1)],
  ["black.png", "image/png", png(640, 480)],
];

describe("files", () => {
  let opened: Opened;
  beforeAll(async () => {
    opened = await openReadyPage();
  });
  afterAll(() => opened.browser.close());

  test.each(BAD)("%s", async (name, mimeType, buffer) => {
    const { page } = opened;
    await page.evaluate(() => (document.getElementById("error")!.textContent = ""));
    await page.setInputFiles("#file", { name, mimeType, buffer });
    const error = page.locator("#error", { hasText: name });
    await error.waitFor({ timeout: 20_000 });
    expect(await error.textContent()).toMatch(/Expected/);
  });

  test.each(EMPTY)("%s", async (name, mimeType, buffer) => {
    await opened.page.setInputFiles("#file", { name, mimeType, buffer });
    await waitForStatus(opened.page, new RegExp(`${name.split(".")[0]}: no hand`));
    expect(await opened.page.isHidden("#error")).toBe(true);
  });

  test("the page goes on", async () => {
    const { page, errors } = opened;
    await page.setInputFiles("#file", { name: "hand.jpg", mimeType: "image/jpeg", buffer: picture });
    await waitForStatus(page, /hand: 1 hand/);
    expect(await page.isHidden("#error")).toBe(true);
    expect(errors).toEqual([]);
  });
});

test("no camera", async () => {
  const { browser, page } = await openReadyPage([], ["camera"]);
  await page.click("#camera");
  await page.locator("#error", { hasText: "There is no camera." }).waitFor();
  await browser.close();
});

test("a camera that is refused", async () => {
  const { browser, page } = await openReadyPage(["--use-fake-device-for-media-stream", "--deny-permission-prompts"]);
  await page.click("#camera");
  await page.locator("#error", { hasText: "The camera was refused." }).waitFor();
  await browser.close();
});

test("no WebGL", async () => {
  const { browser, page } = await openPage(["--disable-3d-apis"]);
  await page.locator("#error", { hasText: "This browser shows no WebGL" }).waitFor({ timeout: 60_000 });
  await browser.close();
});

test("a host that does not isolate the page: one thread", async () => {
  const { browser, page } = await openPage();
  await page.route(inject("url"), async (route) => {
    const response = await route.fetch();
    const { "cross-origin-opener-policy": _, "cross-origin-embedder-policy": __, ...headers } = response.headers();
    await route.fulfill({ response, headers });
  });
  await page.goto(inject("url"));
  await page.waitForSelector("body[data-ready]", { timeout: 60_000 });
  expect(await page.textContent("#status")).toMatch(/one thread/);
  await page.getByAltText("Sample: left").click();
  await waitForStatus(page, /left: 1 hand/);
  await browser.close();
});

test("a network that is not there", async () => {
  const { browser, page } = await openPage();
  await page.route("**/*.onnx", (route) => route.fulfill({ status: 404 }));
  await page.goto(inject("url"));
  await page.locator("#error", { hasText: "cannot be read (404)" }).waitFor({ timeout: 60_000 });
  await browser.close();
});
