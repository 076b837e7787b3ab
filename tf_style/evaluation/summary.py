"""Means over the pairs of an evaluation, as numbers and as a table."""

import numpy as np

from tf_style.errors import UserError
from tf_style.evaluation.methods import PHOTO

__all__ = ["STYLE", "summary", "table"]

STYLE = ("moments", "gram", "centred")


def summary(records: dict[str, dict[str, dict]]) -> dict[str, dict[str, float]]:
    """Means over the pairs: {row: {content, moments, gram, centred, frame, checkerboard, pairs}}.

    A style loss is relative to the untouched photo's: its sum over the layers, each as a share of
    the photo's own in that layer,

        style = mean over pairs{ mean over layers{ loss_l(x) / loss_l(photo) } }

    so that no layer counts by its scale. 1 is the photo, 0 the painting's statistics. A pair whose
    photo has the painting's statistics already is no measure and not counted.

    Args:
        records: {pair: {row: losses}}; every pair has the row `photo`.

    Raises:
        UserError: No pair is a measure.

    Example:
        >>> losses = lambda x: {"content": 1 - x, "moments": {"a": x}, "gram": {"a": x * x},
        ...                     "centred": {"a": 2 * x}, "frame": 1.0, "checkerboard": 0.5}
        >>> summary({"pair": {"photo": losses(1.0), "net": losses(0.5)}})["net"]["gram"]
        0.25
    """
    records = {
        name: pair for name, pair in records.items()
        if all(value > 0 for key in STYLE for value in pair[PHOTO][key].values())
    }  # fmt: skip
    if not records:
        raise UserError(
            "No pair can be judged: every photo has its painting's colours and texture already. "
            "Give other pictures."
        )
    names = dict.fromkeys(row for pair in records.values() for row in pair)
    found = {}
    for name in names:
        of_row = [(pair[name], pair[PHOTO]) for pair in records.values() if name in pair]
        found[name] = {
            key: float(np.mean([losses[key] for losses, _ in of_row]))
            for key in ("content", "frame", "checkerboard")
        }
        for key in STYLE:
            shares = [
                [value / before[key][layer] for layer, value in losses[key].items()]
                for losses, before in of_row
            ]
            found[name][key] = float(np.mean(shares))
            layers = list(of_row[0][0][key])
            found[name][f"{key} by layer"] = dict(
                zip(layers, map(float, np.mean(shares, axis=0)), strict=True)
            )
        found[name]["pairs"] = len(of_row)
    return found


def table(found: dict) -> str:
    """Return the table of what an evaluation found, in Markdown."""
    lines = [
        "| | content | moments | gram | centred | frame | checkerboard | PSNR, SSIM and cast of a "
        "photo in its own style | pairs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["summary"].items():
        rebuilt = found["reconstruction"].get(name)
        shown = "{psnr:.1f} dB, {ssim:.3f}, {cast:.1f}/255".format(**rebuilt) if rebuilt else ""
        cells = (f"{row[key]:.3f}" for key in ("content", *STYLE))
        faults = (f"{row[key]:.2f}" for key in ("frame", "checkerboard"))
        lines.append(
            f"| {name} | {' | '.join(cells)} | {' | '.join(faults)} | {shown} | {row['pairs']} |"
        )
    return "\n".join(lines) + "\n"
