/** Where pictures come from: files, samples, the camera. */

import ExifReader from "exifreader";

const FULL_FRAME_DIAGONAL_MM = Math.hypot(36, 24); // what focal lengths "in 35 mm film" refer to
const LONGEST_PX = 8192; // side of a picture that all browsers can draw,
const MOST_PX = 16e6; // and its area
const PLAUSIBLE_FOCAL_35MM = [8, 1200];
const CAMERA_ERRORS: Record<string, string> = {
  NotAllowedError: "The camera was refused. Allow it in the browser's settings for this page.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera cannot be used: another program may have it.",
};

/** What is known of a source. */
interface Source {
  name: string;
  /** Field of view across the longer side; null where the file does not say. */
  fov_deg: number | null;
  /** (9,) intrinsics; null where they are not known. */
  K: Float64Array | null;
  /** Let go of it. */
  close(): void;
}

/** A picture that was opened. */
export interface OpenedPicture extends Source {
  bitmap: ImageBitmap;
}

/** A frame of a clip or of the camera. */
export interface Frame {
  bitmap: ImageBitmap;
  /** Later than that of the frame before. */
  time_s: number;
}

/** A clip or the camera. */
export interface OpenedVideo extends Source {
  /** Whether it is the camera, which is shown as a mirror would. */
  live: boolean;
  /** All frames of a clip; of the camera those that come after the one before is done with. */
  frames(): AsyncGenerator<Frame, void>;
}

export type Opened = OpenedPicture | OpenedVideo;

export function isVideo(source: Opened): source is OpenedVideo {
  return "frames" in source;
}

/** A picture from a file. Throws what to tell where it is none. */
export async function openPicture(file: Blob, name: string): Promise<OpenedPicture> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await reduced(await createImageBitmap(file));
  } catch {
    throw new Error(`${name} cannot be read as a picture. Expected JPEG, PNG, WebP, or a clip.`);
  }
  return { name: stem(name), bitmap, fov_deg: await fovOf(file, bitmap), K: null, close: () => bitmap.close() };
}

/** A picture as large as can be drawn everywhere. */
async function reduced(bitmap: ImageBitmap): Promise<ImageBitmap> {
  const { width, height } = bitmap;
  const scale = Math.min(1, LONGEST_PX / Math.max(width, height), Math.sqrt(MOST_PX / (width * height)));
  if (scale === 1) return bitmap;
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.floor(side * scale)));
  const smaller = await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: "high" });
  bitmap.close();
  return smaller;
}

/** Field of view across the longer side by the focal length that a file states. */
async function fovOf(file: Blob, { width, height }: ImageBitmap): Promise<number | null> {
  try {
    const tags = ExifReader.load(await file.arrayBuffer());
    const focal_mm = Number(tags.FocalLengthIn35mmFilm?.value);
    const [least, most] = PLAUSIBLE_FOCAL_35MM;
    if (!(focal_mm >= least && focal_mm <= most)) return null;
    const focal_px = (focal_mm / FULL_FRAME_DIAGONAL_MM) * Math.hypot(height, width);
    return (2 * Math.atan(Math.max(width, height) / 2 / focal_px) * 180) / Math.PI;
  } catch {
    return null; // of an unknown origin, tags may be anything
  }
}

/** A clip from a file. Throws what to tell where it is none. */
export async function openClip(file: File, K: Float64Array | null = null): Promise<OpenedVideo> {
  const { ALL_FORMATS, BlobSource, CanvasSink, Input } = await import("mediabunny"); // large, and most want no clips
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  const track = await input.getPrimaryVideoTrack().catch(() => null);
  if (!track || !(await track.canDecode())) {
    input.dispose();
    throw new Error(`${file.name} cannot be read as a clip. Expected one that this browser plays, such as MP4 with H.264.`);
  }
  async function* frames(): AsyncGenerator<Frame, void> {
    let last_s = -Infinity;
    for await (const { canvas, timestamp } of new CanvasSink(track!).canvases()) {
      if (timestamp <= last_s) continue;
      last_s = timestamp;
      yield { bitmap: await createImageBitmap(canvas), time_s: timestamp };
    }
  }
  return { name: stem(file.name), live: false, fov_deg: null, K, frames, close: () => input.dispose() };
}

/** The camera. Throws what to tell where it cannot be had. */
export async function openCamera(): Promise<OpenedVideo> {
  if (!navigator.mediaDevices) throw new Error("The camera needs a page from https or localhost.");
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  } catch (error) {
    const kind = error instanceof DOMException ? error.name : "";
    throw new Error(CAMERA_ERRORS[kind] ?? `The camera cannot be used (${kind || error}).`);
  }
  const [track] = stream.getTracks();
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
  const close = (): void => {
    track.stop();
    track.dispatchEvent(new Event("ended")); // stopping says nothing by itself
  };
  try {
    await video.play();
  } catch {
    close();
    throw new Error("The camera sends nothing.");
  }
  async function* frames(): AsyncGenerator<Frame, void> {
    while (track.readyState === "live") {
      await new Promise<void>((resolve) => {
        track.onended = () => resolve();
        video.requestVideoFrameCallback(() => resolve());
      });
      if (track.readyState === "live") yield { bitmap: await createImageBitmap(video), time_s: performance.now() / 1000 };
    }
  }
  return { name: "camera", live: true, fov_deg: null, K: null, frames, close };
}

function stem(name: string): string {
  return name.replace(/\.[^.]*$/, "");
}
