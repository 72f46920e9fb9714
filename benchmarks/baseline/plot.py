"""The picture of a result as a general plotting library draws it."""

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def plain_plot(image: np.ndarray, silhouette: np.ndarray, vertices_px: np.ndarray, vertices_m: np.ndarray,
               joints_px: np.ndarray, joints_m: np.ndarray, faces: np.ndarray) -> np.ndarray:  # fmt: skip
    """The five panels with Matplotlib, (H, W, 3) RGB uint8.

    Args:
        image: (S, S, 3) uint8; silhouette: (S, S) probabilities.
        vertices_px, joints_px: (V, 2) and (21, 2); vertices_m, joints_m: (V, 3) and (21, 3), camera frame.
        faces: (F, 3).
    """
    figure = Figure(figsize=(19.2, 4), dpi=100)
    for number, drawn in enumerate((None, joints_px, vertices_px), 1):
        axes = figure.add_subplot(1, 5, number)
        axes.imshow(image if drawn is not None else image * silhouette[..., None] / 255)
        if number == 2:
            axes.scatter(*drawn.T, s=12)
        if number == 3:
            axes.triplot(*drawn.T, faces, linewidth=0.4)
    for number in (4, 5):
        axes = figure.add_subplot(1, 5, number, projection="3d")
        if number == 4:
            axes.plot_trisurf(*vertices_m.T, triangles=faces)
        for finger in range(5):
            chain = joints_m[[0, *range(4 * finger + 1, 4 * finger + 5)]]
            axes.plot(*chain.T)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return cv2.cvtColor(np.asarray(canvas.buffer_rgba()), cv2.COLOR_RGBA2RGB)
