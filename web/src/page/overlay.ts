/** The hands over the picture, seen through the picture's own camera, and which finger is under the pointer. */

import * as THREE from "three";
import type { Result } from "./files";
import { Hands, lights, renderer } from "./scene";

const NEAREST_M = 0.02;
const FARTHEST_M = 20;
const LONGEST_PX = 1280; // of the canvas
const OPACITY = 0.8;

export class Overlay {
  private readonly gl: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.Camera();
  private readonly hands: Hands;
  private readonly rays = new THREE.Raycaster();

  constructor(canvas: HTMLCanvasElement, faces: Uint16Array) {
    this.gl = renderer(canvas);
    this.hands = new Hands(faces, OPACITY);
    this.scene.add(this.hands.group, ...lights(this.camera));
  }

  /** Draw the hands of a picture. */
  show({ hands, width, height }: Result): void {
    const scale = Math.min(1, LONGEST_PX / Math.max(width, height));
    this.gl.setSize(Math.round(width * scale), Math.round(height * scale), false);
    this.hands.show(hands);
    if (hands.length) this.camera.projectionMatrix.copy(projection(hands[0].K, width, height));
    this.camera.projectionMatrixInverse.copy(this.camera.projectionMatrix).invert();
    this.gl.render(this.scene, this.camera);
  }

  /**
   * The hand under a point, and the vertex there.
   *
   * @param x from 0, the left, to 1, the right of the picture.
   * @param y from 0, the top, to 1, the bottom.
   */
  at(x: number, y: number): { hand: number; vertex: number } | null {
    const [near, far] = [-1, 1].map((depth) =>
      new THREE.Vector3(2 * x - 1, 1 - 2 * y, depth).applyMatrix4(this.camera.projectionMatrixInverse),
    );
    this.rays.set(near, far.sub(near).normalize());
    const hit = this.rays.intersectObjects(this.hands.group.children)[0];
    return hit?.face ? { hand: this.hands.group.children.indexOf(hit.object), vertex: hit.face.a } : null;
  }
}

/** What a camera with intrinsics K (3, 3) sees of space, as WebGL has it. Pixels have their centres at integers. */
function projection(K: Float64Array, width: number, height: number): THREE.Matrix4 {
  const [fx, skew, cx, , fy, cy] = K;
  const depth = FARTHEST_M - NEAREST_M;
  return new THREE.Matrix4(
    (2 * fx) / width, (-2 * skew) / width, 1 - (2 * (cx + 0.5)) / width, 0,
    0, (2 * fy) / height, (2 * (cy + 0.5)) / height - 1, 0,
    0, 0, -(FARTHEST_M + NEAREST_M) / depth, (-2 * FARTHEST_M * NEAREST_M) / depth,
    0, 0, -1, 0,
  );
}
