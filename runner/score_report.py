"""The score as text, as a table per joint, and as a curve."""

import numpy as np
from matplotlib.figure import Figure

from handmesh.joints import JOINT_NAMES
from utils.metrics import THRESHOLDS_M, FreiHANDScore, area_under_curve, pck_curve


def score_text(result: FreiHANDScore) -> str:
    """The official figures, one `key: value` a line; distances in centimetres."""
    return "".join(f"{name}: {value:.6f}\n" for name, value in result.official.items())


def table_text(result: FreiHANDScore) -> str:
    """Mean and median error of every joint in millimetres: in camera space, with the wrists in one place, aligned."""
    kinds = (result.joint_errors_m, result.root_relative_errors_m, result.aligned_joint_errors_m)
    lines = [
        f"{'joint':<10} {'camera space [mm]':>24} {'root-relative [mm]':>24} {'aligned [mm]':>24}",
        " " * 10 + f" {'mean':>11} {'median':>12}" * len(kinds),
    ]
    for joint, name in enumerate(JOINT_NAMES):
        columns = [1000 * errors[:, joint] for errors in kinds]
        lines.append(
            f"{name:<10}" + "".join(f" {column.mean():>11.2f} {np.median(column):>12.2f}" for column in columns)
        )
    return "\n".join([*lines, *errors_text(result)]) + "\n"


def errors_text(result: FreiHANDScore) -> list[str]:
    """Mean errors in millimetres, one line each."""
    return [
        f"{name}: " + ("not comparable" if value is None else f"{value:.2f} mm")
        for name, value in result.errors_mm.items()
    ]


def pck_figure(result: FreiHANDScore) -> Figure:
    """Share of joints within a distance, in camera space, with the wrists in one place and after alignment."""
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.add_subplot()
    for label, errors, color in (
        ("aligned", result.aligned_joint_errors_m, "#2a78b8"),
        ("root-relative", result.root_relative_errors_m, "#4f9a5b"),
        ("camera space", result.joint_errors_m, "#d1642a"),
    ):
        curve = pck_curve(errors).mean(axis=0)
        axes.plot(THRESHOLDS_M * 1000, curve, color=color, label=f"{label}, AUC {area_under_curve(curve):.3f}")
    axes.set(xlabel="distance [mm]", ylabel="share of joints within", xlim=(0, 50), ylim=(0, 1))
    axes.set_title(f"PCK, {len(result.joint_errors_m)} samples", fontsize=11)
    axes.grid(color="0.9")
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
