/** Pictures to try, with their cameras. */

import clipCamera from "../../samples/clip_K.json";
import clip from "../../samples/clip.mp4?url";
import { openClip, openPicture, type OpenedPicture, type OpenedVideo } from "./sources";

const pictures = import.meta.glob<string>("../../../images/*_img.jpg", { query: "?url", import: "default", eager: true });
const cameras = import.meta.glob<number[][]>("../../../images/*_K.json", { import: "default", eager: true });

/** A picture that comes with the page. */
export interface Sample {
  name: string;
  url: string;
  /** (9,) intrinsics. */
  K: Float64Array;
}

export const SAMPLES: Sample[] = Object.entries(pictures).map(([path, url]) => ({
  name: path.replace(/.*\/(.*)_img\.jpg/, "$1"),
  url,
  K: Float64Array.from(cameras[path.replace("_img.jpg", "_K.json")].flat()),
}));

/** Open one. Throws where it cannot be read. */
export async function openSample({ name, url, K }: Sample): Promise<OpenedPicture> {
  return { ...(await openPicture(await read(url), name)), K };
}

/** Open the clip that comes with the page. */
export async function openSampleClip(): Promise<OpenedVideo> {
  return openClip(new File([await read(clip)], "clip.mp4"), Float64Array.from(clipCamera.flat()));
}

async function read(url: string): Promise<Blob> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The sample cannot be read (${response.status}).`);
  return response.blob();
}
