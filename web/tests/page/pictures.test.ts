/** The same pictures in, the same hands out as the Python package finds. */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nearestRotation, transformPoints, meanPoint } from "../../src/hand/linear";
import { farthest, flat, readGolden } from "../support";
import { downloaded, openReadyPage, waitForStatus, type Opened } from "./browser";

const SHAPE_M = 0.001;
const PLACE_M = 0.002;
const ANGLE_DEG = 1;
const K_PX = 0.01;
const BOX_PX = 0.5;
const EXIF = fileURLToPath(new URL("../golden/exif.jpg", import.meta.url));

type Json = Record<string, unknown>;
type Written = { hands: (Json & { side: string; joints_m: number[][]; pose: Record<string, Json> })[]; some_vertices_m: number[][][] };

const golden = readGolden<Record<string, Written>>("pictures");
let opened: Opened;

beforeAll(async () => {
  opened = await openReadyPage();
});
afterAll(() => opened.browser.close());

/** Points (N, 3) after the rotation and shift that bring them nearest to others. */
function aligned(points: Float64Array, to: Float64Array): Float64Array {
  const { rotation } = nearestRotation(points, to);
  const [from, goal] = [transformPoints(rotation, meanPoint(points)), meanPoint(to)];
  return transformPoints(rotation, points, 1, goal.map((value, axis) => value - from[axis]));
}

test.each(Object.keys(golden))("%s", async (name) => {
  const { page, errors, elsewhere } = opened;
  if (name === "exif") await page.setInputFiles("#file", EXIF);
  else await page.getByAltText(`Sample: ${name}`).click();
  await waitForStatus(page, new RegExp(`${name}: 1 hand`));
  const file = await downloaded(page, "#json");
  expect(file.name).toBe(`${name}_hands.json`);
  const found = JSON.parse(new TextDecoder().decode(file.content)) as Written;
  const { some_vertices_m: vertices, ...expected } = golden[name];
  expect(Object.keys(found)).toEqual(Object.keys(expected));
  expect(found.hands.length).toBe(expected.hands.length);
  found.hands.forEach((hand, index) => {
    const wanted = expected.hands[index];
    expect(Object.keys(hand)).toEqual(Object.keys(wanted));
    for (const part of ["side", "K_from", "size_from", "position_reliable"]) expect(hand[part]).toBe(wanted[part]);
    expect(farthest(flat(hand.K), flat(wanted.K))).toBeLessThan(K_PX);
    expect(farthest(flat(hand.box_px), flat(wanted.box_px))).toBeLessThan(BOX_PX);
    for (const part of ["confidence", "side_probability", "score", "depth_deviation_m"]) {
      expect(hand[part]).toBeCloseTo(wanted[part] as number, 2);
    }
    const [own, theirs] = [flat(hand.joints_m), flat(wanted.joints_m)];
    expect(farthest(own, theirs)).toBeLessThan(PLACE_M);
    expect(farthest(aligned(own, theirs), theirs)).toBeLessThan(SHAPE_M);
    for (const part of ["joint_angles_deg", "joint_deviations_deg", "quaternions"]) {
      const [one, other] = [hand.pose[part], wanted.pose[part]];
      expect(Object.keys(one)).toEqual(Object.keys(other));
      expect(farthest(flat(Object.values(one)), flat(Object.values(other)))).toBeLessThan(ANGLE_DEG);
    }
  });
  expect(vertices.length).toBe(found.hands.length);
  expect(errors).toEqual([]);
  expect(elsewhere).toEqual([]);
});

test("the PLY holds the mesh that Python finds", async () => {
  const { page } = opened;
  await page.getByAltText("Sample: left").click();
  await waitForStatus(page, /left: 1 hand/);
  const { content } = await downloaded(page, "#ply");
  const text = new TextDecoder("latin1").decode(content);
  const count = Number(/element vertex (\d+)/.exec(text)![1]);
  const start = text.indexOf("end_header\n") + "end_header\n".length;
  const view = new DataView(content.buffer, content.byteOffset + start);
  const stride = 12;
  const vertices = Array.from({ length: count }, (_, vertex) => [0, 4, 8].map((at) => view.getFloat32(stride * vertex + at, true)));
  const some = flat(vertices.filter((_, vertex) => vertex % 50 === 0));
  expect(farthest(some, flat(golden["left"].some_vertices_m[0]))).toBeLessThan(PLACE_M);
  expect(volume(view, stride * count, vertices)).toBeGreaterThan(0);
});

/** Six times the volume below the triangles of a binary PLY file, positive where they face outward. */
function volume(view: DataView, start: number, vertices: number[][]): number {
  const middle = [0, 1, 2].map((axis) => vertices.reduce((sum, vertex) => sum + vertex[axis], 0) / vertices.length);
  const points = vertices.map((vertex) => vertex.map((value, axis) => value - middle[axis]));
  let sum = 0;
  for (let at = start; at + 13 <= view.byteLength; at += 13) {
    const [a, b, c] = [1, 5, 9].map((byte) => points[view.getUint32(at + byte, true)]);
    sum += a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return sum;
}

test("the hand's length and the field of view", async () => {
  const { page } = opened;
  await page.setInputFiles("#file", EXIF);
  await waitForStatus(page, /exif: 1 hand/);
  const depth = async (): Promise<number> => parseFloat((await page.locator("#hands td").nth(1).textContent())!);
  const before = await depth();
  await page.check("#known");
  await page.locator("#length").fill("9");
  await expect.poll(depth).toBeLessThan(before * 0.7);
  await page.uncheck("#known");
  await expect.poll(depth).toBe(before);
  await page.locator("#fov").fill("100");
  await expect.poll(depth).toBeLessThan(before * 0.7);
  const { content } = await downloaded(page, "#json");
  expect(new TextDecoder().decode(content)).toContain('"K_from": "fov"');
});
