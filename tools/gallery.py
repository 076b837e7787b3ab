"""Make docs/gallery.jpg: the example photos in the style of the example paintings.

    python tools/gallery.py

One column a photo, one row a painting, at the shipped model's defaults. And docs/adain_faults.jpg:
photo, painting and result of pairs that show what the model's card says of its faults.
"""

from pathlib import Path

import numpy as np

import tf_style
from tf_style.layout import center_crop, fit_longer, fit_shorter, grid

ROOT = Path(__file__).parent.parent
CELL = 256
FAULTS = [("coast", "starry_night"), ("dandelions", "starry_night"), ("astronaut", "scream")]


def cell(image):
    """A picture as a square of the sheet."""
    return center_crop(fit_shorter(image, CELL, enlarge=True))


def main() -> None:
    """Write the sheet."""
    stylize = tf_style.load("adain")
    photos = [tf_style.read_image(path) for path in tf_style.list_images(ROOT / "examples/content")]
    photos = [fit_longer(photo, 768) for photo in photos]
    rows = [[np.ones((CELL, CELL, 3), "float32"), *map(cell, photos)]]
    for path in tf_style.list_images(ROOT / "examples/styles"):
        painting = fit_shorter(tf_style.read_image(path), 512, enlarge=True)
        statistics = stylize.encode_style(painting)
        results = [cell(stylize.transfer(photo, statistics)) for photo in photos]
        rows.append([cell(painting), *results])
    tf_style.write_image(ROOT / "docs/gallery.jpg", grid(rows), quality=80, overwrite=True)
    rows = []
    for content, style in FAULTS:
        [photo], [painting] = (
            tf_style.list_images(ROOT / f"examples/{folder}/{name}.*")
            for folder, name in (("content", content), ("styles", style))
        )
        photo = fit_longer(tf_style.read_image(photo), 768)
        painting = fit_shorter(tf_style.read_image(painting), 512, enlarge=True)
        result = stylize(photo, painting)
        pictures = [center_crop(fit_shorter(x, 400)) for x in (photo, painting, result)]
        rows.append(pictures)
    tf_style.write_image(ROOT / "docs/adain_faults.jpg", grid(rows), quality=85, overwrite=True)


if __name__ == "__main__":
    main()
