/** The sliders: what is known of the camera and of the hands. */

import type { Settings } from "../engine/engine";
import { element } from "./dom";
import type { Opened } from "./sources";

const fov = element<HTMLInputElement>("fov");
const known = element<HTMLInputElement>("known");
const handLength = element<HTMLInputElement>("length");

let own_fov_deg = Number(fov.value); // as somebody left the slider
let camera: Pick<Settings, "K" | "fov_deg" | "kFrom"> = ownCamera();

/** What is known now. */
export function settings(): Settings {
  return { ...camera, handLength_m: known.checked ? Number(handLength.value) / 100 : null };
}

/** Take the camera that a source knows: its K, the field of view of its file, or else what the slider says. */
export function takeCamera({ K, fov_deg }: Opened): void {
  camera = ownCamera();
  if (fov_deg !== null) camera = { K: null, fov_deg, kFrom: "exif" };
  if (K !== null) camera = { K, fov_deg: own_fov_deg, kFrom: "given" };
  fov.value = String(camera.fov_deg);
  show();
}

/** Let the sliders be moved, or not. */
export function enable(may: boolean): void {
  fov.disabled = !may || camera.K !== null;
  known.disabled = !may;
  handLength.disabled = !may || !known.checked;
}

/** Call when somebody has moved a slider. */
export function listen(changed: () => void): void {
  fov.addEventListener("input", () => {
    own_fov_deg = Number(fov.value);
    camera = ownCamera();
  });
  for (const one of [fov, known, handLength]) {
    one.addEventListener("input", () => {
      enable(true);
      show();
      changed();
    });
  }
  show();
}

function ownCamera(): typeof camera {
  return { K: null, fov_deg: own_fov_deg, kFrom: "fov" };
}

function show(): void {
  element("fovValue").textContent = camera.K ? "known" : `${Math.round(camera.fov_deg)}°`;
  element("lengthValue").textContent = known.checked ? `${Number(handLength.value).toFixed(1)} cm` : "not known";
}
