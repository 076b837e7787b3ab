"""Any size in bounded memory: seconds a pixel and peak memory of growing pictures.

    python -m benchmarks.tiling --sides 1024,2048,8192
    python -m benchmarks.tiling --checkpoint paintings --style starry_night --sides 1024,2048,4096
    python -m benchmarks.tiling --checkpoint paintings --style starry_night --error

Each square, an enlarged photo, is stylised from file to file in a process of its own, which is
warmed up by a small one first. The first side is what the others are held against: it should fit
into --max-memory as a whole. With --error it says how far `--tile-statistics thumbnail` is from
`exact`, at the largest side.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import parser_of, square
from tf_style.images.reading import read_image
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig


def measure(options, photos: str) -> dict[str, float]:
    """Seconds of a folder's pictures but the first, and the peak of this process's memory."""
    from tf_style.inference.folder import stylize_folder

    with tempfile.TemporaryDirectory() as out:
        records = list(stylize_folder(config(options, photos, out)))
        # When each file was there: records come later, files being written while others are made.
        written = sorted(path.stat().st_mtime for path in Path(out).iterdir())
    for record in records:
        if record.fault:
            raise record.fault
    status = Path("/proc/self/status").read_text()
    return {
        "seconds": float(np.median(np.diff(written))),
        "peak": int(status.split("VmHWM:")[1].split()[0]) * 1024,
        "notes": [record.note for record in records if record.note],
    }


def config(options, photos: str, out: str) -> StylizeConfig:
    """The run that is measured."""
    return StylizeConfig(
        checkpoint=options.checkpoint, content_path=photos, content_size=0, out_path=out,
        style_path=options.style_path, style=(options.style,) if options.style else (),
        precision=options.precision, max_memory=options.max_memory, tile_size=options.tile_size,
        tile_statistics=options.tile_statistics,
    )  # fmt: skip


def picture(path: str, side: int) -> np.ndarray:
    """A photo's middle at this size, in 8 bits: enlarged by whole pixels, with fresh grain."""
    times = -(-side // 512)
    small = np.uint8(square(path, min(side, 512)) * 239)
    pixels = small.repeat(times, 0).repeat(times, 1)[:side, :side]
    grain = np.random.default_rng(0)
    for row in pixels:
        row += grain.integers(0, 17, row.shape, np.uint8)
    return pixels


def table(options) -> None:
    """A row for each side."""
    print("| side | s | us a pixel | ratio | peak GB | bytes a pixel over the row above |")
    print("|---|---|---|---|---|---|", flush=True)
    first = above = None
    for side in options.sides:
        with tempfile.TemporaryDirectory() as photos:
            write_image(f"{photos}/0.jpg", picture(options.content, 256))
            # The smaller, the more.
            for i in range(3 if side <= 2048 else 1):
                write_image(f"{photos}/{i + 1}.jpg", picture(options.content, side))
            command = [sys.executable, "-m", "benchmarks.tiling", *sys.argv[1:], "--one", photos]
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(run.stdout)
        each = found["seconds"] / side**2 * 1e6
        first = first or each
        growth = "" if above is None else (found["peak"] - above[1]) / (side**2 - above[0] ** 2)
        growth = growth and f"{growth:.1f}"
        above = side, found["peak"]
        print(
            f"| {side} | {found['seconds']:.1f} | {each:.2f} | {each / first:.2f} | "
            f"{found['peak'] / 1e9:.2f} | {growth} |",
            flush=True,
        )
        print(*(f"<!-- {note} -->" for note in found["notes"]), sep="\n", flush=True)


def error(options) -> None:
    """How far the thumbnail's statistics lead from the exact ones."""
    from tf_style.inference.folder import stylize_folder

    side, images = max(options.sides), []
    with tempfile.TemporaryDirectory() as folder:
        photo = square(options.content, side)
        write_image(f"{folder}/photos/a.png", photo)
        for options.tile_statistics in ("exact", "thumbnail"):
            out = f"{folder}/{options.tile_statistics}"
            for record in stylize_folder(config(options, f"{folder}/photos", out)):
                if record.path:
                    images.append(read_image(record.path))
    difference = np.abs(images[1] - images[0])
    psnr = -10 * np.log10(np.square(difference).mean())
    mean, most = 255 * difference.mean(), 255 * difference.max()
    print(f"{side} px: PSNR {psnr:.1f} dB, mean difference {mean:.2f}/255, largest {most:.0f}/255")


def main() -> None:
    """Print the table, or the error."""
    parser = parser_of("tiling", __doc__)
    add = parser.add_argument
    add("--sides", type=lambda text: [int(side) for side in text.split(",")],
        default=[1024, 2048, 8192], help="of the squares, in px [1024,2048,8192]")  # fmt: skip
    add("--checkpoint", default="adain", help="the model")
    add("--content", default="examples/content/coast.jpg", help="the photo")
    add("--style-path", default="examples/styles/starry_night.jpg", help="the painting")
    add("--style", default="", help="a style by name, of a model with a table")
    add("--precision", default="auto", help="as of stylize.py, like all that follow")
    add("--max-memory", type=float, default=2.0, help="GB [2]")
    add("--tile-size", type=int, default=0, help="px; 0: chosen")
    add("--tile-statistics", default="exact", help="exact or thumbnail")
    add("--error", action="store_true", help="of thumbnail, instead of the table")
    add("--one", default="", help="measure this folder's photos alone, in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options, options.one)))
    elif options.error:
        error(options)
    else:
        table(options)


if __name__ == "__main__":
    main()
