"""Folders of pictures to training pairs; pair k is a function of (seed, k) alone.

So a resumed run sees what it would have seen, and any number of workers see together what one
worker sees alone.
"""

import bisect
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_style.errors import UserError, counted
from tf_style.files import write_atomically
from tf_style.images.listing import list_images
from tf_style.images.reading import probe, read_image, verify
from tf_style.images.writing import to_uint8

__all__ = ["Pictures", "changes", "crop_box", "pairs", "scan"]

# More bad files than this, and the folder is not what the user thinks it is.
MAX_BAD_SHARE = 0.05

# Counts up when `plain` comes to mean something else, so that old verdicts are void.
CACHE_VERSION = 2

# How far the colours of paintings are moved: as in Ghiasi et al.'s code, but for the brightness,
# whose 0.8 there leaves many black or white.
HUE, SATURATION, BRIGHTNESS = 0.2, (0.5, 1.5), 0.2

# Which of the random draws of pair k: its content's or its style's.
CONTENT, STYLE = 0, 1


@dataclass(frozen=True)
class Pictures:
    """The readable pictures of a folder.

    Attributes:
        paths: The files, in a fixed order.
        plain: For each, whether tf.io decodes it, and as Pillow would: an upright RGB or grey JPEG
            or 8-bit PNG.
        sizes: Size of each file, in bytes.
        bad: Path and reason of each file left out.
        digest: SHA-256 over names and sizes of the files used.
    """

    paths: tuple[str, ...]
    plain: tuple[bool, ...]
    sizes: tuple[int, ...]
    bad: tuple[tuple[str, str], ...]
    digest: str

    def without(self, lost: set[str] | dict[str, str]) -> "Pictures":
        """Return the same pictures in the same order, but in the place of each lost one the next
        left.

        So every pair without a lost picture stays what it was.

        Args:
            lost: Paths.

        Raises:
            UserError: None would be left.

        Example:
            >>> found = Pictures(("a", "b", "c"), (True,) * 3, (1, 2, 3), (), "")
            >>> found.without({"b"}).paths
            ('a', 'c', 'c')
        """
        left = [i for i, path in enumerate(self.paths) if path not in lost]
        if not left:
            raise UserError(
                f"None of {counted(len(self.paths), 'picture')} is left, such as {min(lost)}."
            )
        count = len(self.paths)
        chosen = [left[bisect.bisect_left(left, i) % len(left)] for i in range(count)]
        columns = {name: getattr(self, name) for name in ("paths", "plain", "sizes")}
        return replace(self, **{k: tuple(x[i] for i in chosen) for k, x in columns.items()})


def scan(
    path: str | Path,
    max_images: int = 0,
    seed: int = 0,
    cache: str | Path | None = None,
    written: Iterable[str | Path] = (),
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures:
    """Decode every picture of a folder once, and leave out those that cannot be.

    Good files are remembered by path, size and time of change, so the second run starts at once
    and an interrupted scan resumes where it was. Bad ones are tried again.

    Args:
        path: A folder, walked recursively, a file or a glob.
        max_images: Keep this many, drawn by the seed; 0 keeps all.
        seed: Seed of that draw.
        cache: File that remembers; None for one under `~/.cache/tf_style` (or XDG_CACHE_HOME).
        written: Folders and files that are written, which hold no pictures to train on.
        on_file: Called with the number of files done and their total.

    Raises:
        UserError: No picture, or more than 5 % of them bad.

    Example:
        >>> from tf_style.nn.vgg import CALIBRATION
        >>> len(scan(CALIBRATION, cache=os.devnull).paths)
        6
    """
    files = list_images(path, written)
    root = Path(path) if Path(path).is_dir() else Path(path).parent
    if max_images and len(files) > max_images:
        chosen = np.random.default_rng(seed).choice(len(files), max_images, replace=False)
        files = [files[i] for i in sorted(chosen)]
    names = {file: os.path.relpath(file, root) for file in files}
    cache = Path(cache) if cache else _cache_file(root)
    known = _read_cache(cache)

    def judge(file: Path) -> tuple[list, str]:
        """Size, time and plainness of a good file, or nothing and what is wrong with it."""
        try:
            stat = file.stat()
            stamp = [stat.st_size, stat.st_mtime_ns]
            old = known.get(names[file], [])
            return (old if old[:2] == stamp else [*stamp, _is_plain(file)]), ""
        except (OSError, UserError) as error:
            return [], str(error)

    good, bad = {}, []
    try:
        with ThreadPool() as pool:
            verdicts = zip(files, pool.imap(judge, files, chunksize=16), strict=True)
            for done, (file, (entry, reason)) in enumerate(verdicts, 1):
                if reason:
                    bad.append((str(file), reason))
                else:
                    good[file] = entry
                on_file(done, len(files))
    finally:
        fresh = {names[file]: entry for file, entry in good.items()}
        if any(known.get(name) != entry for name, entry in fresh.items()):
            _write_cache(cache, known | fresh)

    if len(bad) > MAX_BAD_SHARE * len(files):
        reasons = "; ".join(reason for _, reason in bad[:3])
        raise UserError(
            f"{len(bad)} of {len(files)} files under {path} cannot be used, more than "
            f"{MAX_BAD_SHARE:.0%}: {reasons}{' ...' if len(bad) > 3 else ''}"
        )
    lines = "\n".join(f"{names[file]}\t{entry[0]}" for file, entry in good.items())
    return Pictures(
        paths=tuple(str(file) for file in good),
        plain=tuple(entry[2] for entry in good.values()),
        sizes=tuple(entry[0] for entry in good.values()),
        bad=tuple(bad),
        digest=hashlib.sha256(os.fsencode(lines)).hexdigest(),
    )


def changes(pictures: Pictures, thoroughly: bool = False) -> dict[str, str]:
    """Which pictures are no longer those that `scan` has looked at, and why.

    Args:
        pictures: Those that were found.
        thoroughly: Whether those of the same size are decoded too.

    Returns:
        {path: reason}; empty if all are what they were.

    Example:
        >>> changes(Pictures(("gone.jpg",), (True,), (1,), (), ""))
        {'gone.jpg': 'No such file or directory'}
    """

    def change(path, size):
        try:
            _check_size(path, size)
            if thoroughly:
                _is_plain(Path(path))
        except OSError as error:
            return error.strerror
        except UserError as error:
            return str(error)
        return ""

    with ThreadPool() as pool:
        reasons = pool.starmap(change, zip(pictures.paths, pictures.sizes, strict=True))
    return {path: reason for path, reason in zip(pictures.paths, reasons, strict=True) if reason}


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
    by_index: bool = False,
    style_crop_size: int = 0,
    augment_styles: bool = False,
    pipelines: int = 1,
    pipeline: int = 0,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Batches of random crops: (content, style, whether the style is the content).

    Pair k belongs to step k // batch_size. Each epoch is a permutation of the pictures.

    Args:
        content: The photos.
        style: The paintings.
        steps: The steps, from the one to resume at to the last.
        batch_size: Pairs per step over all replicas; a multiple of their number.
        resize_size: Pixels that a picture's shorter side would have before cropping.
        crop_size: Pixels of the square crop.
        seed: Seed of order and crops.
        identity: Whether the first pair of each step has its content as style.
        by_index: Whether the index of the painting is given, instead of the painting.
        style_crop_size: Pixels of the painting's square; 0: as the photo's.
        augment_styles: Whether paintings are mirrored and change their colours, by chance.
        pipelines: Number of input pipelines, one for each worker.
        pipeline: Which of them this is.
        replicas: Devices over all workers; the batches given out are for one device each.

    Returns:
        Batches of `batch_size / replicas`: two images `(batch, crop_size, crop_size, 3)`, or an
        image and an int32 index `(batch,)`, and a float32 mask `(batch,)`.
    """
    local, ahead = batch_size // pipelines, 2 * replicas // pipelines
    sides = {CONTENT: crop_size, STYLE: style_crop_size or crop_size}
    # As tensors, and bytes: a file's name need not be UTF-8.
    tables = [
        (
            tf.constant([os.fsencode(path) for path in pictures.paths]),
            tf.constant(pictures.plain),
            tf.constant(pictures.sizes, tf.int64),
        )
        for pictures in (content, style)
    ]

    def draw(k, which):
        """Which picture is the one of pair k."""
        count = len(tables[which][0])
        return tf.random.experimental.index_shuffle(
            k % count, tf.stack([seed, 2 * (k // count) + which]), count - 1
        )

    def picture(k, which):
        index, size = draw(k, which), sides[which]
        decoded = _decode(*(column[index] for column in tables[which]))
        height, width = tf.unstack(tf.shape(decoded)[:2])
        # One draw of them all: draws that share a seed would be one number under several names.
        random = tf.random.stateless_uniform([7], tf.stack([2 * seed + which, k]))
        top, left, side = crop_box(height, width, random[:2], size / max(resize_size, size))
        cut = decoded[top : top + side, left : left + side]
        image = tf.image.resize(tf.cast(cut, tf.float32) / 255, [size] * 2, antialias=True)
        if augment_styles and which == STYLE:
            image = _augment(image, random[2:])
        return tf.ensure_shape(image, (size, size, 3))

    def pair(position):
        k = position // local * batch_size + pipeline * local + position % local
        photo = picture(k, CONTENT)
        if by_index:
            return photo, tf.cast(draw(k, STYLE), tf.int32), 0.0
        if not identity:
            return photo, picture(k, STYLE), 0.0
        own = k % batch_size == 0
        painting = tf.cond(own, lambda: photo, lambda: picture(k, STYLE))
        return photo, painting, tf.cast(own, tf.float32)

    dataset = tf.data.Dataset.range(steps.start * local, steps.stop * local)
    dataset = dataset.map(pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size // replicas, drop_remainder=True).prefetch(ahead)


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


def _augment(image, random):
    """Another painting of the same strokes: mirrored, brighter or darker, in other colours.

    `random` has five numbers in [0, 1): of both mirrorings, hue, saturation and brightness.
    """
    across, down, hue, saturation, brightness = tf.unstack(random)
    image = tf.cond(across < 0.5, lambda: image, lambda: tf.image.flip_left_right(image))
    image = tf.cond(down < 0.5, lambda: image, lambda: tf.image.flip_up_down(image))
    low, high = SATURATION
    image = tf.image.adjust_hue(image, HUE * (2 * hue - 1))
    image = tf.image.adjust_saturation(image, low + (high - low) * saturation)
    return tf.clip_by_value(image + BRIGHTNESS * (2 * brightness - 1), 0, 1)


def _is_plain(file: Path) -> bool:
    """Whether tf.io is to decode the file; a UserError if nothing can."""
    if probe(file).plain:
        try:
            _with_tf(os.fsencode(file), ratio=8)  # A JPEG's cheapest size takes all of its data.
            return True
        except tf.errors.OpError:
            pass  # Damaged, or with a flaw that Pillow forgives, such as a wrong checksum.
    verify(file)
    return False


def _decode(path, plain, size):
    """A file as uint8 RGB `(height, width, 3)`; an error if its size is no longer that."""
    decoded = tf.cond(plain, lambda: _with_tf(path, size), lambda: _with_pillow(path, size))
    return tf.ensure_shape(decoded, (None, None, 3))


def _check_size(path, size):
    found = os.path.getsize(path)
    if found != size:
        raise UserError(f"{found} bytes where there were {size}")


def _with_pillow(path, size):
    def read(name, size):
        name = os.fsdecode(name.numpy())
        _check_size(name, size)
        return to_uint8(read_image(name))

    return tf.py_function(read, [path, size], tf.uint8)


def _with_tf(path, size=None, ratio=1):
    content = tf.io.read_file(path)
    if size is not None:
        found = tf.cast(tf.strings.length(content), tf.int64)
        with tf.control_dependencies([tf.debugging.assert_equal(found, size)]):
            content = tf.identity(content)
    return tf.cond(
        tf.io.is_jpeg(content),
        # Pillow's JPEG library is exact in this sense; TensorFlow's default is the fast one.
        lambda: tf.io.decode_jpeg(content, 3, ratio, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(content, 3),
    )


def _cache_file(root: Path) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if not home.is_absolute():  # A process without a home: nothing is remembered.
        return Path(os.devnull)
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return home / "tf_style" / f"scan-{name}.json"


def _read_cache(cache: Path) -> dict[str, list]:
    try:
        stored = json.loads(cache.read_text("utf-8"))
        return stored["good"] if stored["version"] == CACHE_VERSION else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _write_cache(cache: Path, good: dict[str, list]) -> None:
    try:
        if cache.exists() and not cache.is_file():
            return  # os.devnull, above all.
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps({"version": CACHE_VERSION, "good": good}).encode())
    except OSError:
        pass  # A cache that cannot be written costs time, not correctness.
