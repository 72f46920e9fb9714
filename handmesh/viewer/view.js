// One 3D view: the hands of a picture in front of its camera, to be turned by mouse, touch and keyboard.

import { DirectionalLight, HemisphereLight, PerspectiveCamera, Scene } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { CSS3DRenderer } from "three/addons/renderers/CSS3DRenderer.js";
import { Stage } from "./stage.js";

const FOV_DEGREES = 40;
const TURN_RADIANS = Math.PI / 24; // of a key
const ZOOM = 0.9; // of a key
const KEYS = {
  ArrowLeft: (controls) => controls.rotateLeft(TURN_RADIANS),
  ArrowRight: (controls) => controls.rotateLeft(-TURN_RADIANS),
  ArrowUp: (controls) => controls.rotateUp(TURN_RADIANS),
  ArrowDown: (controls) => controls.rotateUp(-TURN_RADIANS),
  "+": (controls) => controls.dollyIn(ZOOM),
  "=": (controls) => controls.dollyIn(ZOOM), // plus without shift
  "-": (controls) => controls.dollyOut(ZOOM),
  Home: (controls) => controls.reset(),
};

export class View {
  // `element`: of the class `view`, with what `handmesh/gallery.py` says in its data attributes.
  // `paint`: draws (scene, camera, canvas, width, height).
  constructor(element, paint) {
    this.element = element;
    this.paint = paint;
    this.message = element.querySelector("p");
    this.scene = new Scene();
    this.ended = new AbortController(); // removes the listeners
    const glb = Uint8Array.from(atob(element.dataset.scene), (character) => character.charCodeAt(0));
    new GLTFLoader().parse(
      glb.buffer,
      "",
      ({ scene }) => this.ended.signal.aborted || this.show(scene),
      (error) => console.error(error),
    );
  }

  show(hands) {
    const { element } = this;
    this.stage = new Stage(hands, JSON.parse(element.dataset.camera), element.dataset.picture);
    this.camera = new PerspectiveCamera(FOV_DEGREES, 1, 0.01 * this.stage.depth, 100 * this.stage.depth);
    const light = new DirectionalLight("white", 2);
    light.position.set(-0.5, 1, 0.5); // from above the left shoulder of whoever looks
    this.camera.add(light);
    this.scene.add(hands, this.stage.lines, this.stage.picture, this.camera, new HemisphereLight("white", "gray", 1.5));

    // The picture is part of the page, under the canvas: a page from disk may not give its files to WebGL.
    this.under = new CSS3DRenderer();
    this.canvas = document.createElement("canvas");
    this.message.hidden = true;
    element.append(this.under.domElement, this.canvas, this.stage.caption);
    this.controls = new OrbitControls(this.camera, element);
    this.resize();
    this.stage.look(this.camera, this.controls);
    this.controls.addEventListener("change", () => this.draw());
    this.listen();
    this.draw();
  }

  listen() {
    const { element, controls } = this;
    const { signal } = this.ended;
    element.style.touchAction = "pan-y"; // a finger up and down scrolls the page
    element.addEventListener("dblclick", () => controls.reset(), { signal });
    element.addEventListener(
      "keydown",
      (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
        event.preventDefault();
        KEYS[event.key](controls);
      },
      { signal },
    );
    // The wheel scrolls the page too; with Ctrl, which is how a browser tells of a pinch as well, it zooms.
    const scroll = (event) => event.ctrlKey || event.metaKey || event.stopPropagation();
    element.addEventListener("wheel", scroll, { signal, capture: true, passive: true });
    this.sizes = new ResizeObserver(() => this.resize() && this.draw());
    this.sizes.observe(element);
  }

  // Take the size of the element; false where it has none or had the same.
  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height || (width === this.width && height === this.height)) return false;
    Object.assign(this, { width, height });
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.under.setSize(width, height);
    return true;
  }

  draw() {
    // Under the canvas it is behind the hands, so seen from its back it would have to hide them.
    this.stage.picture.visible = this.camera.position.z > this.stage.picture.position.z;
    this.paint(this.scene, this.camera, this.canvas, this.width, this.height);
    this.under.render(this.scene, this.camera);
  }

  dispose() {
    this.ended.abort();
    this.sizes?.disconnect();
    this.controls?.dispose();
    this.scene.traverse(({ geometry }) => geometry?.dispose()); // the shaders stay, for the next view
    if (this.canvas) this.canvas.width = this.canvas.height = 0; // gives its memory back at once
    this.message.hidden = false;
    this.element.replaceChildren(this.message);
  }
}
