/** The hands in space: in front of the camera, above a floor, to be turned by mouse, touch and keys. */

import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import type { Result } from "./files";
import { Hands, lights, renderer } from "./scene";

const FOV_DEG = 40;
const SEEN_BEHIND = 1.15; // depth to which the camera's view is drawn, in depths of the farthest hand
const USUAL_DEPTH_M = 0.6;
const GRID_M = 0.1;
const FLOOR_M = 2;
const BELOW_M = 0.02; // of the lowest that the camera sees, at most so far from the hands:
const LOWEST_M = 0.5;
const TURN_RAD = Math.PI / 24; // of a key
const ZOOM = 0.9; // of a key
const EYE = new THREE.Vector3(0.65, 0.4, 0.55); // from the hands at the start, in depths
const LEAST_RADII = 4; // of the sphere around the hands, that the eye is away from them
const LINES = { color: 0x888888, transparent: true };

export class Space {
  private readonly gl: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly eye = new THREE.PerspectiveCamera(FOV_DEG, 1, 0.01, 100);
  private readonly orbit: OrbitControls;
  private readonly hands: Hands;
  private readonly frustum = new THREE.LineSegments(new THREE.BufferGeometry(), new THREE.LineBasicMaterial(LINES));
  private readonly floor = new THREE.GridHelper(FLOOR_M, FLOOR_M / GRID_M, 0x888888, 0x888888);
  private placed = false;
  private waiting = false; // for the next picture of the screen

  constructor(
    private readonly canvas: HTMLCanvasElement,
    faces: Uint16Array,
  ) {
    this.gl = renderer(canvas);
    this.hands = new Hands(faces);
    const grid = this.floor.material;
    grid.transparent = true;
    grid.opacity = 0.35;
    this.scene.add(this.hands.group, this.frustum, this.floor, ...lights(this.eye));
    this.frustum.visible = this.floor.visible = false; // until there are hands
    this.frustum.frustumCulled = false; // what it bounds changes with each picture
    this.orbit = new OrbitControls(this.eye, canvas);
    canvas.style.touchAction = "pan-y"; // a finger up and down scrolls the page
    // The wheel scrolls the page too; with Ctrl, which is how a browser tells of a pinch as well, it zooms.
    const scroll = (event: WheelEvent): void => void (event.ctrlKey || event.metaKey || event.stopImmediatePropagation());
    canvas.addEventListener("wheel", scroll, { capture: true, passive: true });
    this.orbit.addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(canvas);
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("dblclick", () => this.orbit.reset());
  }

  /** Look from the start at the next hands. */
  startAnew(): void {
    this.placed = false;
  }

  /** Show the hands of a picture, and what its camera sees. */
  show({ hands, width, height }: Result): void {
    this.hands.show(hands);
    this.redraw();
    this.frustum.visible = this.floor.visible = hands.length > 0;
    if (!hands.length) return;
    const depth = SEEN_BEHIND * Math.max(...hands.map((hand) => hand.joints_m[2]), USUAL_DEPTH_M / 4);
    const [fx, , cx, , fy, cy] = hands[0].K;
    const corner = (u: number, v: number): THREE.Vector3 =>
      new THREE.Vector3(((u - cx) / fx) * depth, ((cy - v) / fy) * depth, -depth);
    const corners = [corner(0, 0), corner(width, 0), corner(width, height), corner(0, height)];
    const ends = corners.flatMap((one, index) => [new THREE.Vector3(), one, one, corners[(index + 1) % 4]]);
    this.frustum.geometry.setFromPoints(ends);
    this.floor.position.set(0, Math.max(corners[2].y, -LOWEST_M) - BELOW_M, -depth / 2);
    if (this.placed) return;
    this.placed = true;
    const { center, radius } = new THREE.Box3().setFromObject(this.hands.group).getBoundingSphere(new THREE.Sphere());
    this.orbit.target.copy(center);
    this.eye.position.copy(center).addScaledVector(EYE, Math.max(depth, LEAST_RADII * radius));
    this.orbit.update();
    this.orbit.saveState();
  }

  private redraw(): void {
    if (!this.waiting) requestAnimationFrame(() => this.draw());
    this.waiting = true;
  }

  private draw(): void {
    this.waiting = false;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio;
    if (this.canvas.width !== Math.floor(width * ratio) || this.canvas.height !== Math.floor(height * ratio)) {
      this.gl.setPixelRatio(ratio);
      this.gl.setSize(width, height, false);
      this.eye.aspect = width / Math.max(height, 1);
      this.eye.updateProjectionMatrix();
    }
    this.gl.render(this.scene, this.eye);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const turns: Record<string, () => void> = {
      ArrowLeft: () => this.orbit.rotateLeft(TURN_RAD),
      ArrowRight: () => this.orbit.rotateLeft(-TURN_RAD),
      ArrowUp: () => this.orbit.rotateUp(TURN_RAD),
      ArrowDown: () => this.orbit.rotateUp(-TURN_RAD),
      "+": () => this.orbit.dollyIn(ZOOM),
      "=": () => this.orbit.dollyIn(ZOOM), // plus without shift
      "-": () => this.orbit.dollyOut(ZOOM),
      Home: () => this.orbit.reset(),
    };
    if (!(event.key in turns)) return;
    event.preventDefault();
    turns[event.key]();
  }
}
