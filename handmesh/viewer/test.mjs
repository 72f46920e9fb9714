// Opens a page of `handmesh/gallery.py` in a browser without a window and uses its first 3D view:
//     node test.mjs PAGE BROWSER [FOLDER FOR SCREENSHOTS]

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [page_file, executablePath, folder] = process.argv.slice(2);
const SOFTWARE_WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
const QUIET = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"];
const MOST_CANVASES = 6;

const browser = await chromium.launch({ executablePath, args: [...SOFTWARE_WEBGL, ...QUIET], timeout: 20_000 });
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(10_000);
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(error.message));
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(pathToFileURL(page_file).href);

  const view = page.locator(".view").first();
  const canvas = view.locator("canvas");
  await canvas.waitFor();
  await view.scrollIntoViewIfNeeded();
  const drawn = () => canvas.evaluate((element) => element.toDataURL());
  const shoot = (name) => folder && page.screenshot({ path: `${folder}/${name}.png` });
  const first = await drawn();
  await shoot("start");
  const colors = await canvas.evaluate((element) => {
    const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colors > 100, `the canvas has ${colors} colours`);
  const picture = view.locator("img");
  await picture.evaluate((image) => image.decode());

  const { x, y, width, height } = await view.boundingBox();
  const [left, top] = [x + width / 2, y + height / 2];
  await page.mouse.move(left, top);
  await page.mouse.down();
  await page.mouse.move(left + 120, top - 30, { steps: 4 });
  await page.mouse.up();
  const turned = await drawn();
  assert.notEqual(turned, first, "a drag turns it");
  await shoot("turned");
  await page.mouse.dblclick(left, top);
  assert.equal(await drawn(), first, "a double-click brings it back");

  await view.focus();
  for (const key of ["ArrowLeft", "ArrowUp", "+", "-"]) {
    const before = await drawn();
    await page.keyboard.press(key);
    assert.notEqual(await drawn(), before, `${key} changes it`);
  }
  await page.keyboard.press("Home");
  assert.equal(await drawn(), first, "Home brings it back");

  await page.mouse.wheel(0, 300);
  await page.waitForFunction(() => window.scrollY > 0);
  assert.equal(await drawn(), first, "the wheel scrolls the page");

  // Views far away are gone.
  const counts = [];
  for (let step = 0; step < 40; step++) {
    await page.evaluate(() => window.scrollBy(0, 2 * window.innerHeight));
    await page.waitForTimeout(20);
    counts.push(await page.locator("canvas").count());
  }
  assert.ok(Math.max(...counts) <= MOST_CANVASES, `there were ${Math.max(...counts)} canvases`);

  assert.deepEqual(errors, []);
  assert.ok(
    requests.every((url) => /^(file|data|blob):/.test(url)),
    "the page asks nothing of a network",
  );
  console.log(`${page_file}: ${colors} colours, at most ${Math.max(...counts)} canvases`);
} finally {
  await browser.close();
}
