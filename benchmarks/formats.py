"""Size, seconds and nearness of every export format, in one run, side by side.

    python -m benchmarks.formats --checkpoint adain --size 256

Every format runs in turns with the stylizer itself, on one photo and one painting; seconds are
medians after a first run that does not count. Ratios are the format's over the stylizer's.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import parser_of, square
from tf_style.export.config import SUFFIXES, ExportConfig
from tf_style.export.exporting import export_model
from tf_style.export.formats import FORMATS
from tf_style.inference.style_transfer import load


def main() -> None:
    """Print the table."""
    parser = parser_of("formats", __doc__)
    add = parser.add_argument
    add("--checkpoint", default="adain", help="a folder or the name of a model that ships [adain]")
    add("--content", default="examples/content/tiger.jpg", help="the photo")
    add("--style", default="examples/styles/scream.jpg", help="the painting")
    add("--size", type=int, default=256, help="side of both in px [256]")
    add("--repeats", type=int, default=5, help="runs that count [5]")
    options = parser.parse_args()

    stylize = load(options.checkpoint, "float32")
    photo, painting = (square(path, options.size) for path in (options.content, options.style))
    given = {"content": photo[None], "style": painting[None], "alpha": np.ones(1, "float32"),
             "style_weights": np.eye(1, len(stylize.styles) or 1, dtype="float32")}  # fmt: skip
    given = {name: given[name] for name in stylize.stylizer.input}
    traced = tf.function(stylize.stylizer, autograph=False)
    runs = {"the stylizer": lambda: traced(given).numpy()}
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in FORMATS.items():
            path = Path(folder, name + SUFFIXES[name])
            config = ExportConfig(
                checkpoint=options.checkpoint, export_format=name, export_path=str(path)
            )
            sizes[name] = export_model(config).size
            runs[name] = kind.load(path, given)
        seconds, results = {name: [] for name in runs}, {}
        for _ in range(options.repeats + 1):
            for name, run in runs.items():
                began = time.perf_counter()
                results[name] = run()
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    expected = results["the stylizer"]
    print(f"{options.checkpoint}, {options.size} px, medians of {options.repeats}\n")
    print("| format | MB | seconds | ratio | PSNR in dB |\n|---|---|---|---|---|")
    for name, median in medians.items():
        size = f"{sizes[name] / 1e6:.1f}" if name in sizes else ""
        psnr = -10 * np.log10(np.mean((results[name] - expected) ** 2) + 1e-13)
        near = f"{psnr:.0f}" if name in sizes else ""
        ratio = median / medians["the stylizer"]
        print(f"| {name} | {size} | {median:.2f} | {ratio:.2f} | {near} |")


if __name__ == "__main__":
    main()
