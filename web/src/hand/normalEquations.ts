/** Least squares with M unknowns. */

import { CholeskyDecomposition, Matrix } from "ml-matrix";

/** The normal equations J^T J and J^T r of weighted rows. */
export class NormalEquations {
  /** (M, M), of which only what is on and below the diagonal is kept. */
  readonly matrix: Float64Array;
  /** (M,). */
  readonly vector: Float64Array;

  constructor(readonly size: number) {
    this.matrix = new Float64Array(size * size);
    this.vector = new Float64Array(size);
  }

  /**
   * Add three rows that have the same columns.
   *
   * @param block (C, 3) derivatives of the three by the unknowns `columns` (C,), ascending; others are zero.
   * @param residuals (3,).
   * @param weight of the squares.
   */
  add(block: Float64Array, residuals: Float64Array, columns: Int32Array, weight: number): void {
    const { matrix, vector, size } = this;
    for (let first = 0; first < columns.length; first++) {
      const x = weight * block[3 * first];
      const y = weight * block[3 * first + 1];
      const z = weight * block[3 * first + 2];
      const start = columns[first] * size;
      vector[columns[first]] += x * residuals[0] + y * residuals[1] + z * residuals[2];
      for (let second = 0; second <= first; second++) {
        const at = 3 * second;
        matrix[start + columns[second]] += x * block[at] + y * block[at + 1] + z * block[at + 2];
      }
    }
  }

  /** Draw the unknowns from `first` on to values (N,), by their precision (N, N); `offset` (N,) is what is missing. */
  addPrior(first: number, offset: Float64Array, precision: Float64Array, weight: number): void {
    const count = offset.length;
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < count; column++) {
        const value = weight * precision[row * count + column];
        this.vector[first + row] += value * offset[column];
        if (column <= row) this.matrix[(first + row) * this.size + first + column] += value;
      }
    }
  }

  /** The unknowns (M,), with each diagonal element multiplied and then added to, so that a step stays small. */
  solve(factor: number, addend: number): Float64Array {
    const right = Matrix.columnVector([...this.vector]);
    return Float64Array.from(this.decomposed(factor, addend).solve(right).to1DArray());
  }

  /** Variances (count,) of the unknowns from `first` on; `addend` to the diagonal keeps them finite. */
  variances(first: number, count: number, addend: number): Float64Array {
    const units = Matrix.zeros(this.size, count);
    for (let index = 0; index < count; index++) units.set(first + index, index, 1);
    const inverse = this.decomposed(1, addend).solve(units);
    return Float64Array.from({ length: count }, (_, index) => inverse.get(first + index, index));
  }

  private decomposed(factor: number, addend: number): CholeskyDecomposition {
    const whole = Matrix.zeros(this.size, this.size);
    for (let row = 0; row < this.size; row++) {
      for (let column = 0; column <= row; column++) {
        const value = this.matrix[row * this.size + column];
        whole.set(row, column, value);
        whole.set(column, row, value);
      }
      whole.set(row, row, whole.get(row, row) * factor + addend);
    }
    return new CholeskyDecomposition(whole);
  }
}
