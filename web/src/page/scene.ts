/** The hands as three.js has them. Space is glTF's: metres, x right, y up, the camera at the origin looking down -z. */

import * as THREE from "three";
import type { Side } from "../hand/types";
import type { ShownHand } from "../engine/results";

const HAND_COLORS: Record<Side, THREE.Color> = {
  right: new THREE.Color().setRGB(0.93, 0.76, 0.66, THREE.SRGBColorSpace),
  left: new THREE.Color().setRGB(0.66, 0.8, 0.95, THREE.SRGBColorSpace),
};
/** The meshes of hands. */
export class Hands {
  readonly group = new THREE.Group();

  /** @param faces triangles of a right hand, flat. */
  constructor(
    private readonly faces: Uint16Array,
    private readonly opacity = 1,
  ) {}

  /** Show these. */
  show(hands: readonly ShownHand[]): void {
    while (this.group.children.length > hands.length) {
      const mesh = this.group.children.at(-1) as THREE.Mesh;
      mesh.geometry.dispose();
      this.group.remove(mesh);
    }
    hands.forEach((hand, index) => {
      const mesh = (this.group.children[index] as THREE.Mesh | undefined) ?? this.added();
      const { geometry } = mesh;
      const positions = geometry.getAttribute("position") as THREE.BufferAttribute;
      positions.array.set(toSpace(hand.vertices_m));
      positions.needsUpdate = true;
      geometry.computeVertexNormals();
      geometry.computeBoundingSphere();
      (mesh.material as THREE.MeshStandardMaterial).color.copy(HAND_COLORS[hand.side]);
    });
  }

  private added(): THREE.Mesh {
    const geometry = new THREE.BufferGeometry();
    const count = Math.max(...this.faces) + 1;
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(3 * count), 3));
    geometry.setIndex(new THREE.BufferAttribute(this.faces, 1));
    // A left hand has the triangles of the right one, which it shows from behind.
    const mesh = new THREE.Mesh(geometry, handMaterial("right"));
    Object.assign(mesh.material, { opacity: this.opacity, transparent: this.opacity < 1 });
    this.group.add(mesh);
    return mesh;
  }
}

/** How a hand looks, from both sides, because hands are open at the wrist. */
export function handMaterial(side: Side): THREE.MeshStandardMaterial {
  return new THREE.MeshStandardMaterial({ color: HAND_COLORS[side], roughness: 0.7, metalness: 0, side: THREE.DoubleSide });
}

/** Camera space (N, 3), y down, z forward, to space. */
export function toSpace(points_m: Float64Array): Float32Array {
  return Float32Array.from(points_m, (value, at) => (at % 3 ? -value : value));
}

/** A renderer that is transparent where nothing is. Throws where there is no WebGL. */
export function renderer(canvas: HTMLCanvasElement): THREE.WebGLRenderer {
  return new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
}

/** Light from above, and from behind the left shoulder of whoever looks through a camera. */
export function lights(camera: THREE.Camera): THREE.Object3D[] {
  const light = new THREE.DirectionalLight("white", 2);
  light.position.set(-0.5, 1, 0.5);
  camera.add(light);
  return [camera, new THREE.HemisphereLight("white", "gray", 1.5)];
}
