/** Everything that finds hands, in a thread of its own, so that the page keeps drawing. */

import { fromFov } from "../hand/camera";
import { HandDetector } from "../hand/detector";
import { HandFinder } from "../hand/finder";
import { HandModel } from "../hand/handModel";
import { readDescription } from "../hand/network";
import { unitRange } from "../hand/palm";
import { poseOf } from "../hand/pose";
import { CropPredictor } from "../hand/predictor";
import { OnnxModel, type Input } from "../hand/runtime";
import { Tracker } from "../hand/tracking";
import type { Camera, Hand, Picture } from "../hand/types";
import { resized } from "../hand/warp";
import { CROP, FILES, readFiles, type Progress } from "./assets";
import { openNetwork, openProcessor, type Provider } from "./processor";
import type { SeenHand, ShownHand } from "./results";

const PALM_PX = 192;
const HAND_PX = 224;

/** What is known about a picture's camera and its hands. */
export interface Settings {
  /** (9,) intrinsics; null where they follow from the field of view. */
  K: Float64Array | null;
  /** Across the longer side. */
  fov_deg: number;
  /** Whether K is known, or where the field of view comes from. */
  kFrom: "given" | "exif" | "fov";
  /** From the wrist along the bones to the tip of the middle finger; null where that is not known. */
  handLength_m: number | null;
}

/** What runs, and where. */
export interface EngineInfo {
  threads: number;
  providers: Record<string, Provider>;
  /** `hand_model.npz`. */
  handModel: Uint8Array;
}

interface Parts {
  model: HandModel;
  finder: HandFinder;
  networks: Record<string, OnnxModel>;
}

/** The networks, and the hands that are being followed. */
export class Engine {
  private parts: Parts | null = null;
  private tracker: Tracker | null = null;
  private busy: Promise<unknown> = Promise.resolve(); // networks run one call at a time

  /** Load everything. Throws where a file cannot be read. */
  async load(report: (progress: Progress) => void): Promise<EngineInfo> {
    const [files, crop, processor] = await Promise.all([readFiles(FILES, report), readCrop(), openProcessor()]);
    const description = readDescription(files.meshNetwork);
    const palm = await openNetwork(processor, files.palmDetection, rowByRow(crop, PALM_PX));
    const landmark = await openNetwork(processor, files.handLandmark, rowByRow(crop, HAND_PX));
    const mesh = await openNetwork(processor, files.meshNetwork, planeByPlane(crop, description.size_px));
    const registration = await OnnxModel.open(processor.runtime, files.registration, "wasm");
    const detector = new HandDetector(palm.network, landmark.network);
    const finder = new HandFinder(detector, new CropPredictor(description, mesh.network, registration));
    const networks = { palm: palm.network, landmark: landmark.network, mesh: mesh.network, registration };
    const model = new HandModel(files.handModel);
    if (description.joint_regressor.shape[1] !== model.numVertices) throw new Error("the mesh network knows another hand");
    this.parts = { model, finder, networks };
    const providers = { palm: palm.provider, landmark: landmark.provider, mesh: mesh.provider };
    return { threads: processor.threads, providers, handModel: files.handModel };
  }

  /** The hands of a picture. */
  find(bitmap: ImageBitmap, settings: Settings): Promise<ShownHand[]> {
    return this.inTurn(() => this.findNow(bitmap, settings));
  }

  /** Begin to follow hands anew: another clip, or other settings. */
  startTracking(): Promise<void> {
    return this.inTurn(async () => {
      this.tracker = null;
    });
  }

  /** The hands of the next frame; `time_s` is later than that of the frame before. */
  track(bitmap: ImageBitmap, time_s: number, settings: Settings): Promise<ShownHand[]> {
    return this.inTurn(() => this.trackNow(bitmap, time_s, settings));
  }

  /** Mean milliseconds and number of calls of each network so far. */
  timings(): Record<string, { ms: number; calls: number }> {
    return Object.fromEntries(Object.entries(this.loaded().networks).map(([name, network]) => [name, network.timing]));
  }

  private inTurn<Value>(run: () => Promise<Value>): Promise<Value> {
    const turn = this.busy.then(run);
    this.busy = turn.catch(() => {});
    return turn;
  }

  private async findNow(bitmap: ImageBitmap, settings: Settings): Promise<ShownHand[]> {
    const { model, finder } = this.loaded();
    const picture = pixelsOf(bitmap);
    const hands = await finder.find(picture, cameraOf(picture, settings), settings.handLength_m);
    return hands.map((hand, index): ShownHand => {
      const { side, vertices_m, joints_m, landmarks_px, landmarkConfidence, confidence, camera } = hand;
      const pose = poseOf(model, side, vertices_m, landmarks_px, landmarkConfidence, camera.K).numbers;
      return { side, track: index + 1, K: camera.K, vertices_m, joints_m, bridged: false, confidence, seen: seenOf(hand), pose };
    });
  }

  private async trackNow(bitmap: ImageBitmap, time_s: number, settings: Settings): Promise<ShownHand[]> {
    const { model, finder } = this.loaded();
    const picture = pixelsOf(bitmap);
    this.tracker ??= new Tracker(model, finder, settings.handLength_m);
    const hands = await this.tracker.update(picture, cameraOf(picture, settings), time_s);
    return hands.map(({ track, pose, camera, bridged, confidence, seen }): ShownHand => {
      const { vertices_m, joints_m, numbers } = pose;
      return { side: numbers.side, track, K: camera.K, vertices_m, joints_m, bridged, confidence, seen: seen && seenOf(seen), pose: numbers };
    });
  }

  private loaded(): Parts {
    if (!this.parts) throw new Error("the networks are not loaded");
    return this.parts;
  }
}

function seenOf(hand: Hand): SeenHand {
  const { sideProbability, landmarks_px, residual_px, success, knownSize, depthDeviation_m } = hand;
  const presence = hand.found && hand.found.presence;
  return { presence, sideProbability, landmarks_px, residual_px, success, knownSize, depthDeviation_m };
}

function cameraOf({ width, height }: Picture, { K, fov_deg }: Settings): Camera {
  return K ? { K } : fromFov(width, height, fov_deg);
}

// One canvas for all frames: what canvases hold is not what makes a browser collect its garbage.
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true })!;

/** The pixels of a bitmap, which is closed. */
function pixelsOf(bitmap: ImageBitmap): Picture {
  const { width, height } = bitmap;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.clearRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

async function readCrop(): Promise<Picture> {
  const { crop } = await readFiles({ crop: CROP }, () => {});
  return pixelsOf(await createImageBitmap(new Blob([crop])));
}

/** A picture as an input (1, S, S, 3), 0 to 1. */
function rowByRow(picture: Picture, size: number): Input {
  const part = { left: 0, top: 0, width: picture.width, height: picture.height };
  return { data: unitRange(resized(picture, part, size, size).data), shape: [1, size, size, 3] };
}

/** A picture as an input (1, 3, S, S), 0 to 1. */
function planeByPlane(picture: Picture, size: number): Input {
  const { data } = rowByRow(picture, size);
  const planes = new Float32Array(data.length);
  for (let color = 0; color < 3; color++) {
    for (let at = 0; at < size * size; at++) planes[color * size * size + at] = data[3 * at + color];
  }
  return { data: planes, shape: [1, 3, size, size] };
}
