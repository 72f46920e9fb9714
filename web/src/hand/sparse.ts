/** Matrices that are mostly zeros. */

/** The entries of a matrix, rows in order. */
export interface SparseMatrix {
  numRows: number;
  /** (E,) of each entry. */
  rows: Int32Array;
  columns: Int32Array;
  values: Float64Array;
}

/** What is not zero of a matrix (R, C). */
export function sparse(matrix: Float64Array, numColumns: number): SparseMatrix {
  const entries = [...matrix.keys()].filter((index) => matrix[index] !== 0);
  return {
    numRows: matrix.length / numColumns,
    rows: Int32Array.from(entries, (index) => Math.floor(index / numColumns)),
    columns: Int32Array.from(entries, (index) => index % numColumns),
    values: Float64Array.from(entries, (index) => matrix[index]),
  };
}

/** A matrix with a row more for each of some columns, which picks it. */
export function withPicks({ numRows, rows, columns, values }: SparseMatrix, picked: number[]): SparseMatrix {
  return {
    numRows: numRows + picked.length,
    rows: Int32Array.of(...rows, ...picked.map((_, index) => numRows + index)),
    columns: Int32Array.of(...columns, ...picked),
    values: Float64Array.of(...values, ...picked.map(() => 1)),
  };
}

/** Mixtures (R, 3) of points (C, 3). */
export function mixed({ numRows, rows, columns, values }: SparseMatrix, points: Float64Array): Float64Array {
  const result = new Float64Array(3 * numRows);
  for (let entry = 0; entry < values.length; entry++) {
    const [to, from] = [3 * rows[entry], 3 * columns[entry]];
    for (let axis = 0; axis < 3; axis++) result[to + axis] += values[entry] * points[from + axis];
  }
  return result;
}
