// What stands around the hands: the picture's camera with what it sees, the picture behind the hands, and a floor.
// Everything is in metres in the camera's space as glTF has it: x right, y up, the camera at the origin looking down -z.

import { Box3, BufferGeometry, Group, LineBasicMaterial, LineSegments, Vector3 } from "three";
import { CSS3DObject } from "three/addons/renderers/CSS3DRenderer.js";

const BEHIND = 1.1; // depth of the picture, in depths of the farthest point of the hands
const NEAREST_M = 0.05; // of the picture, whatever the hands are
const GRID_M = 0.1;
const COARSE_GRID_M = 1;
const COARSE_FROM_M = 3;
const PICTURE_PX = 1000; // width of the picture's element before it is made as large as it is in space
const LINES = { color: 0x888888, transparent: true };
const START_AZIMUTH = 0.6; // of the eye, in radians to the right of the camera as it looks at the hands
const START_HEIGHT = 0.35; // in radians
const FILLED = 0.92; // of the view at the start

export class Stage {
  // `hands`: their node. `K`, `size`: of the picture, in pixels. `file`: of the picture, none if empty.
  constructor(hands, { K, size }, file) {
    const box = new Box3().setFromObject(hands);
    const [width, height] = size;
    const depth = Math.max(NEAREST_M, -BEHIND * box.min.z);
    const at = (u, v) => new Vector3(((u - K[0][2]) / K[0][0]) * depth, ((K[1][2] - v) / K[1][1]) * depth, -depth);
    this.depth = depth;
    this.center = box.getCenter(new Vector3());
    // Pixels are counted from the middle of the first one.
    this.corners = [at(-0.5, -0.5), at(width - 0.5, -0.5), at(width - 0.5, height - 0.5), at(-0.5, height - 0.5)];
    this.lines = new Group().add(this.frustum(), this.floor());
    this.picture = this.plane(at((width - 1) / 2, (height - 1) / 2), size, file);
  }

  frustum() {
    const origin = new Vector3();
    const points = this.corners.flatMap((corner, index) => [origin, corner, corner, this.corners[(index + 1) % 4]]);
    return new LineSegments(new BufferGeometry().setFromPoints(points), new LineBasicMaterial(LINES));
  }

  // A grid at the picture's lower edge. It ends there, because the picture lies under all that WebGL draws.
  floor() {
    const step = this.depth < COARSE_FROM_M ? GRID_M : COARSE_GRID_M;
    const y = this.corners[2].y;
    const [left, right] = [Math.floor(this.corners[0].x / step), Math.ceil(this.corners[1].x / step)];
    const points = [];
    for (let x = left; x <= right; x++) points.push(new Vector3(x * step, y, 0), new Vector3(x * step, y, -this.depth));
    for (let z = 0; z <= this.depth / step; z++) {
      points.push(new Vector3(left * step, y, -z * step), new Vector3(right * step, y, -z * step));
    }
    this.caption = document.createElement("small");
    this.caption.textContent = step === GRID_M ? "grid: 10 cm" : "grid: 1 m";
    return new LineSegments(
      new BufferGeometry().setFromPoints(points),
      new LineBasicMaterial({ ...LINES, opacity: 0.4 }),
    );
  }

  plane(middle, [width, height], file) {
    const image = document.createElement("img");
    image.alt = "";
    image.draggable = false;
    if (file) image.src = file;
    image.style.cssText = `width: ${PICTURE_PX}px; height: ${(PICTURE_PX * height) / width}px; max-width: none`;
    const object = new CSS3DObject(image);
    object.position.copy(middle);
    object.scale.set(
      (this.corners[1].x - this.corners[0].x) / PICTURE_PX,
      ((this.corners[0].y - this.corners[2].y) / PICTURE_PX) * (width / height),
      1,
    );
    return object;
  }

  // Place the eye to the right above the picture's camera, as close to the hands as shows camera and picture.
  look(camera, controls) {
    controls.target.copy(this.center);
    const towards = new Vector3().setFromSphericalCoords(1, Math.PI / 2 - START_HEIGHT, START_AZIMUTH);
    const contents = [new Vector3(), ...this.corners];
    const sees = (point) => {
      const { x, y, z } = point.clone().project(camera);
      return Math.abs(x) < FILLED && Math.abs(y) < FILLED && z < 1;
    };
    for (let distance = this.depth / 2; distance < 50 * this.depth; distance *= 1.05) {
      camera.position.copy(this.center).addScaledVector(towards, distance);
      camera.lookAt(this.center);
      camera.updateMatrixWorld();
      if (contents.every(sees)) break;
    }
    controls.minDistance = this.depth / 20;
    controls.maxDistance = 50 * this.depth;
    controls.update();
    controls.saveState();
  }
}
