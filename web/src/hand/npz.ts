/** Arrays of files that NumPy wrote. */

import { unzipSync } from "fflate";

/** The arrays of numbers of a `.npz` file by name, flat, rows first, as float64. Others are left out. */
export function readArrays(file: Uint8Array): Map<string, Float64Array> {
  const arrays = new Map<string, Float64Array>();
  for (const [name, content] of Object.entries(unzipSync(file))) {
    const array = readArray(content);
    if (array) arrays.set(name.replace(/\.npy$/, ""), array);
  }
  return arrays;
}

/** A `.npy` file: magic string (6), version (2), length of the header (2, or 4 from version 2 on), header, numbers. */
function readArray(file: Uint8Array): Float64Array | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const long = file[6] > 1;
  const start = long ? 12 : 10;
  const end = start + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder("latin1").decode(file.subarray(start, end));
  const kind = /'descr': '([^']*)'/.exec(header)?.[1];
  if (header.includes("'fortran_order': True")) throw new Error("columns first are not read");
  const numbers = file.slice(end).buffer; // a copy, because typed arrays want aligned bytes
  if (kind === "<f4") return Float64Array.from(new Float32Array(numbers));
  if (kind === "<f8") return new Float64Array(numbers);
  if (kind === "<i8") return Float64Array.from(new BigInt64Array(numbers), Number);
  return null;
}
