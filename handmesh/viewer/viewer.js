// The 3D views of the demo's page. One WebGL renderer serves them all, because browsers allow only a few; a view lives
// while it is on the screen or close to it, so that a page of hundreds of pictures needs no more memory than a short one.

import { WebGLRenderer } from "three";
import { View } from "./view.js";

const MOST_PIXELS_PER_PX = 2; // finer is not seen, and costs
const MARGIN = "25%"; // of the window, above and below it, in which views are made ready

function start() {
  let renderer;
  try {
    renderer = new WebGLRenderer({ alpha: true, antialias: true });
  } catch {
    return; // each view goes on saying that it needs WebGL
  }
  const views = new Map();
  const observer = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) {
        if (isIntersecting && !views.has(target)) {
          views.set(target, new View(target, (...what) => paint(renderer, ...what)));
        } else if (!isIntersecting) {
          views.get(target)?.dispose();
          views.delete(target);
        }
      }
    },
    { rootMargin: MARGIN },
  );
  for (const element of document.querySelectorAll(".view")) {
    element.tabIndex = 0;
    element.setAttribute("role", "application"); // the arrow keys are its own
    element.setAttribute("aria-describedby", "turning");
    observer.observe(element);
  }
}

// Draw a scene with the shared renderer and copy the picture to a view's own canvas.
function paint(renderer, scene, camera, canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio, MOST_PIXELS_PER_PX);
  const shared = renderer.domElement;
  if (shared.width !== Math.floor(width * ratio) || shared.height !== Math.floor(height * ratio)) {
    renderer.setPixelRatio(ratio);
    renderer.setSize(width, height, false);
  }
  renderer.render(scene, camera);
  canvas.width = shared.width; // clears it as well
  canvas.height = shared.height;
  canvas.getContext("2d").drawImage(shared, 0, 0);
}

start();
