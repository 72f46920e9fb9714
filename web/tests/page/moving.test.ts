/** Clips and the camera: hands are followed, and a recording is an animated character. */

import { fileURLToPath } from "node:url";
import { validateBytes } from "gltf-validator";
import { afterEach, expect, test } from "vitest";
import { downloaded, openReadyPage, waitForStatus, type Opened } from "./browser";

const CLIP = fileURLToPath(new URL("../../samples/clip.mp4", import.meta.url));
const CAMERA = fileURLToPath(new URL("../golden/camera.mjpeg", import.meta.url));
const RECORDED_MS = 3000;

let opened: Opened;
afterEach(() => opened.browser.close());

/** The JSON part of a binary glTF file. */
function describedBy(glb: Uint8Array): { nodes: { name: string }[]; animations?: { channels: unknown[] }[]; skins?: unknown[] } {
  const view = new DataView(glb.buffer, glb.byteOffset);
  return JSON.parse(new TextDecoder().decode(glb.subarray(20, 20 + view.getUint32(12, true))));
}

/** What was recorded is one right hand that moves. */
async function expectRecorded(name: string): Promise<void> {
  const { page, errors, elsewhere } = opened;
  await page.locator("#recording", { hasText: /Recorded \d+\.\d s/ }).waitFor({ timeout: 60_000 });
  expect(await page.locator("#hands tbody tr").count()).toBe(1);
  expect(await page.locator("#hands tbody td").first().textContent()).toMatch(/^right/);
  const { content } = await downloaded(page, "#animated");
  const report = await validateBytes(content);
  expect(report.issues.messages.filter(({ severity }) => severity < 2)).toEqual([]);
  const { nodes, animations, skins } = describedBy(content);
  const names = nodes.map((node) => node.name);
  expect(names).toContain(name);
  expect(names).toContain(`${name}_index_2`);
  expect(skins!.length).toBe(1);
  expect(animations![0].channels.length).toBe(20); // place of the wrist, turns of 19 bones
  expect(errors).toEqual([]);
  expect(elsewhere).toEqual([]);
}

test("a clip from a file", async () => {
  opened = await openReadyPage();
  await opened.page.setInputFiles("#file", CLIP);
  await expectRecorded("right_1");
});

test("the camera, shown as a mirror would", async () => {
  const camera = ["--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${CAMERA}`];
  opened = await openReadyPage(camera, ["camera"]);
  await opened.page.click("#camera");
  await waitForStatus(opened.page, /camera: 1 hand/);
  await opened.page.click("#record");
  await opened.page.waitForTimeout(RECORDED_MS);
  await opened.page.click("#record");
  await expectRecorded("right_1");
  expect(await opened.page.locator("#picture").getAttribute("class")).toContain("mirrored");
  await opened.page.click("#freeze");
  expect(await opened.page.getAttribute("#freeze", "aria-pressed")).toBe("true");
  await opened.page.click("#photo");
  await waitForStatus(opened.page, /photo: 1 hand/);
});

test("another source while the camera runs", async () => {
  const camera = ["--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${CAMERA}`];
  opened = await openReadyPage(camera, ["camera"]);
  const { page, errors } = opened;
  await page.click("#camera");
  await waitForStatus(page, /camera: 1 hand/);
  await page.locator("#fov").fill("50");
  await page.setInputFiles("#file", CLIP);
  await waitForStatus(page, /clip: 1 hand/);
  await page.getByAltText("Sample: left").click();
  await page.getByAltText("Sample: pinch").click();
  await waitForStatus(page, /pinch: 1 hand/);
  const { name, content } = await downloaded(page, "#json");
  expect(name).toBe("pinch_hands.json");
  expect(new TextDecoder().decode(content)).toContain('"side": "right"');
  expect(await page.isHidden("#error")).toBe(true);
  expect(errors).toEqual([]);
});
