"""Folders of pictures to training pairs; pair k is a function of (seed, k) alone.

So a resumed run sees what it would have seen, and any number of workers see together what one
worker sees alone.
"""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_style.errors import UserError
from tf_style.images import list_images, probe, read_image
from tf_style.weights import write_atomically

__all__ = ["Pictures", "crop_box", "pairs", "scan"]

# More bad files than this, and the folder is not what the user thinks it is.
MAX_BAD_SHARE = 0.05

# Which of the random draws of pair k: its content's or its style's.
CONTENT, STYLE = 0, 1


@dataclass(frozen=True)
class Pictures:
    """The readable pictures of a folder.

    Attributes:
        paths: In a fixed order.
        plain: For each, whether tf.io decodes it as Pillow would: an upright RGB or grey JPEG or
            8-bit PNG.
        bad: Path and reason of each file left out.
        digest: SHA-256 over names and sizes of the files used.
    """

    paths: tuple[str, ...]
    plain: tuple[bool, ...]
    bad: tuple[tuple[str, str], ...]
    digest: str


def scan(
    path: str | Path,
    max_images: int = 0,
    seed: int = 0,
    cache: str | Path | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures:
    """Decode every picture of a folder once, and leave out those that cannot be.

    Verdicts are cached by path, size and time of change, so the second run starts at once.

    Args:
        path: A folder, walked recursively, a file or a glob.
        max_images: Keep this many, drawn by the seed; 0 keeps all.
        seed: Of that draw.
        cache: File of the verdicts; None for one under `~/.cache/tf_style` (or XDG_CACHE_HOME).
        on_file: Called with the number of files done and their total.

    Raises:
        UserError: No picture, or more than 5 % of them bad.

    Example:
        >>> from tf_style.encoder import CALIBRATION
        >>> len(scan(CALIBRATION, cache=os.devnull).paths)
        6
    """
    files = list_images(path)
    root = Path(path) if Path(path).is_dir() else Path(path).parent
    if max_images and len(files) > max_images:
        chosen = np.random.default_rng(seed).choice(len(files), max_images, replace=False)
        files = [files[i] for i in sorted(chosen)]
    cache = Path(cache) if cache else _cache_file(root)
    known = _read_cache(cache)

    def verdict(file: Path) -> list:
        stat = file.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        old = known.get(str(file))
        if old and old[:2] == stamp:
            return old
        try:
            read_image(file)
            return [*stamp, probe(file).plain, ""]
        except UserError as error:
            return [*stamp, False, str(error)]

    verdicts = []
    with ThreadPoolExecutor() as pool:
        for found in pool.map(verdict, files):
            verdicts.append(found)
            on_file(len(verdicts), len(files))
    fresh = {str(file): found for file, found in zip(files, verdicts, strict=True)}
    if any(known.get(name) != found for name, found in fresh.items()):
        _write_cache(cache, known | fresh)

    bad = tuple((str(f), v[3]) for f, v in zip(files, verdicts, strict=True) if v[3])
    good = [(f, v) for f, v in zip(files, verdicts, strict=True) if not v[3]]
    if len(bad) > MAX_BAD_SHARE * len(files):
        reasons = "; ".join(reason for _, reason in bad[:3])
        raise UserError(
            f"{len(bad)} of {len(files)} files under {path} cannot be used, more than "
            f"{MAX_BAD_SHARE:.0%}: {reasons} ..."
        )
    lines = "\n".join(f"{os.path.relpath(file, root)}\t{v[0]}" for file, v in good)
    return Pictures(
        paths=tuple(str(file) for file, _ in good),
        plain=tuple(bool(v[2]) for _, v in good),
        bad=bad,
        digest=hashlib.sha256(lines.encode()).hexdigest(),
    )


def pairs(
    content: Pictures,
    style: Pictures,
    *,
    steps: range,
    batch_size: int,
    resize_size: int,
    crop_size: int,
    seed: int,
    identity: bool = False,
    pipelines: int = 1,
    pipeline: int = 0,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Batches of random crops: (content, style, whether the style is the content).

    Pair k belongs to step k // batch_size. Each epoch is a permutation of the pictures.

    Args:
        content: The photos.
        style: The paintings.
        steps: From the step to go on with to the last.
        batch_size: Pairs per step over all replicas; a multiple of their number.
        resize_size: Pixels that a picture's shorter side would have before cropping.
        crop_size: Pixels of the square crop.
        seed: Of order and crops.
        identity: Whether the first pair of each step has its content as style.
        pipelines: Number of input pipelines, one for each worker.
        pipeline: Which of them this is.
        replicas: Devices over all workers; the batches given out are for one device each.

    Returns:
        Batches of `batch_size / replicas`: two images `(batch, crop_size, crop_size, 3)` and a
        float32 mask `(batch,)`.
    """
    local = batch_size // pipelines
    tables = [
        (tf.constant(pictures.paths), tf.constant(pictures.plain), all(pictures.plain))
        for pictures in (content, style)
    ]

    def picture(k, which):
        paths, plain, all_plain = tables[which]
        count = len(paths)
        epoch, index = k // count, k % count
        index = tf.random.experimental.index_shuffle(
            index, tf.stack([seed, 2 * epoch + which]), count - 1
        )
        decoded = _decode(paths[index], plain[index], all_plain)
        crop = tf.random.stateless_uniform([2], tf.stack([2 * seed + which, k]))
        top, left, side = crop_box(tf.shape(decoded)[0], tf.shape(decoded)[1], crop,
                                   crop_size / resize_size)  # fmt: skip
        cut = decoded[top : top + side, left : left + side]
        image = tf.image.resize(tf.cast(cut, tf.float32) / 255, [crop_size] * 2, antialias=True)
        return tf.ensure_shape(image, (crop_size, crop_size, 3))

    def pair(position):
        k = position // local * batch_size + pipeline * local + position % local
        photo = picture(k, CONTENT)
        if not identity:
            return photo, picture(k, STYLE), 0.0
        own = k % batch_size == 0
        painting = tf.cond(own, lambda: photo, lambda: picture(k, STYLE))
        return photo, painting, tf.cast(own, tf.float32)

    dataset = tf.data.Dataset.range(steps.start * local, steps.stop * local)
    dataset = dataset.map(pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size // replicas, drop_remainder=True).prefetch(2)


def crop_box(height, width, random, share):
    """Where a random crop lies in the picture as it was decoded.

    Cropping first and resizing the crop is resizing first and cropping, for a fraction of the
    work: `share` is crop_size / resize_size.

        side = max(1, round(share * min(height, width)))
        top  = floor(random[0] * (height - side + 1)), left likewise

    Args:
        height: Pixels, an integer tensor.
        width: Pixels, an integer tensor.
        random: Two numbers in [0, 1).
        share: The crop's part of the shorter side, in (0, 1].

    Returns:
        top, left and side, in pixels.
    """
    side = tf.cast(tf.round(share * tf.cast(tf.minimum(height, width), tf.float32)), tf.int32)
    side = tf.maximum(side, 1)
    room = tf.cast(tf.stack([height, width]) - side + 1, tf.float32)
    offset = tf.cast(random * room, tf.int32)
    return offset[0], offset[1], side


def _decode(path, plain, all_plain):
    """A file as uint8 RGB: by tf.io where that equals Pillow, else by Pillow."""

    def with_pillow():
        def read(name):
            return np.round(read_image(name.numpy().decode()) * 255).astype("uint8")

        return tf.py_function(read, [path], tf.uint8)

    def with_tf():
        content = tf.io.read_file(path)
        return tf.cond(
            tf.io.is_jpeg(content),
            # Pillow's JPEG library is exact in this sense; TensorFlow's default is the fast one.
            lambda: tf.io.decode_jpeg(content, 3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(content, 3),
        )

    decoded = with_tf() if all_plain else tf.cond(plain, with_tf, with_pillow)
    return tf.ensure_shape(decoded, (None, None, 3))


def _cache_file(root: Path) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return home / "tf_style" / f"scan-{name}.json"


def _read_cache(cache: Path) -> dict:
    try:
        return json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _write_cache(cache: Path, verdicts: dict) -> None:
    if str(cache) == os.devnull:
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps(verdicts).encode())
    except OSError:
        pass  # A cache that cannot be written costs time, not correctness.
