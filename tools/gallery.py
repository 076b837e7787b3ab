"""Make docs/gallery.jpg: the example photos in the style of the example paintings.

    python tools/gallery.py

One column a photo, one row a painting, at the shipped model's defaults. And docs/adain_faults.jpg:
photo, painting and result of pairs that show what the model's card says of its faults.
"""

from pathlib import Path

import numpy as np

import tf_style
from tf_style.images.resizing import fit_longer, fit_shorter, fit_square
from tf_style.images.sheets import grid

ROOT = Path(__file__).parent.parent
CELL = 256
FAULTS = [("coast", "starry_night"), ("dandelions", "starry_night"), ("astronaut", "scream")]


def cell(image, side=CELL):
    """A picture as a square of a sheet."""
    return fit_square(image, side)


def pictures(folder):
    """The examples by name."""
    paths = tf_style.list_images(ROOT / "examples" / folder)
    return {path.stem: tf_style.read_image(path) for path in paths}


def main() -> None:
    """Write the sheets."""
    stylize = tf_style.load("adain")
    photos = {name: fit_longer(photo, 768) for name, photo in pictures("content").items()}
    paintings = {name: fit_shorter(x, 512, enlarge=True) for name, x in pictures("styles").items()}
    results = {}
    rows = [[np.ones((CELL, CELL, 3), "float32"), *map(cell, photos.values())]]
    for style, painting in paintings.items():
        statistics = stylize.encode_style(painting)
        for content, photo in photos.items():
            results[content, style] = stylize.transfer(photo, statistics)
        rows.append([cell(painting), *(cell(results[content, style]) for content in photos)])
    tf_style.write_image(ROOT / "docs/gallery.jpg", grid(rows), quality=80, overwrite=True)
    rows = [
        [cell(x, 400) for x in (photos[content], paintings[style], results[content, style])]
        for content, style in FAULTS
    ]
    tf_style.write_image(ROOT / "docs/adain_faults.jpg", grid(rows), quality=85, overwrite=True)


if __name__ == "__main__":
    main()
