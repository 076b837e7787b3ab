"""Contenders in processes of their own, which take turns: seconds, peak memory, what came out.

A run is a generator, made from a `Job`: what it does before its first `yield` is preparation; from
there to the second is what is timed, and so on by turns. The first may give seconds that are to be
taken off, the second gives the result, an image of uint8, the file of one, or a number.

`python -m benchmarks.measure MODULE RUN FOLDER SIZE` serves one: to every line that it reads it
answers with a line of JSON.
"""

import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import square
from benchmarks.networks import random_weights
from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.images.listing import list_images
from tf_style.images.reading import read_image, read_pixels
from tf_style.images.writing import to_uint8, write_image

__all__ = ["Job", "Worker", "interleaved", "peak_memory", "reset_peak"]

# Sides in px of what is done before a clock starts, and of the painting at most.
WARM_UP, STYLE = 64, 512

# What `tf_style.load` is told of the weights.
MODEL = {
    "encoder": "vgg19",
    "encoder_weights": "stored",
    "encoder_sha256": "",
    "factors": None,
    "layer": "relu4_1",
    "padding": "reflect",
    "pooling": "max",
}


@dataclass(frozen=True)
class Job:
    """What all contenders of a comparison are given, as files.

    Attributes:
        folder: Where they are.
        size: Side of the photos in px, and of a painting that is not larger than 512; of a
            product the matrices'.
    """

    folder: Path
    size: int

    @classmethod
    def create(cls, folder: Path, size: int, count: int, photos: str, style: str) -> "Job":
        """Write the files: random weights, one painting, `count` photos that differ.

        Args:
            folder: A new one.
            size: Of the photos.
            count: Photos: those that there are, then turned ones.
            photos: A folder of photos.
            style: The painting.
        """
        job = cls(Path(folder), size)
        checkpoint.create(job.checkpoint, {"method": "adain", "model": MODEL}, random_weights(0))
        paths = list_images(photos)
        write_image(job.warm_up_photo, square(paths[0], WARM_UP))
        write_image(job.warm_up_style, square(style, WARM_UP))
        write_image(job.style, square(style, min(size, STYLE)))
        for k in range(count):
            photo = np.rot90(square(paths[k % len(paths)], size), k // len(paths) % 4)
            write_image(job.warm_up_photo.with_stem(f"{k + 1:02d}"), photo)
        return job

    @property
    def checkpoint(self) -> Path:
        """For `tf_style.load`."""
        return self.folder / "checkpoint"

    @property
    def warm_up_photo(self) -> Path:
        """A small photo, first in the folder of the photos."""
        return self.folder / "photos" / "00.jpg"

    @property
    def warm_up_style(self) -> Path:
        """Another style, first in the folder of the painting."""
        return self.folder / "styles" / "00.jpg"

    @property
    def style(self) -> Path:
        """The painting."""
        return self.folder / "styles" / "01.jpg"

    @property
    def photos(self) -> list[Path]:
        """The photos that count."""
        return list_images(self.warm_up_photo.parent)[1:]

    def weights(self) -> dict[str, np.ndarray]:
        """Of both networks, as a checkpoint names them."""
        with np.load(self.checkpoint / "stylizer.npz") as arrays:
            return dict(arrays)

    def batches(self) -> tuple[np.ndarray, np.ndarray]:
        """Photos for a training step, uint8, and as paintings the same in another order."""
        photos = np.stack([to_uint8(read_image(path)) for path in self.photos])
        return photos, np.roll(photos, 1, axis=0)

    def out_folder(self, turn: int = 0) -> Path:
        """A folder for this process's results."""
        folder = self.folder / f"out{os.getpid()}.{turn}"
        folder.mkdir(exist_ok=True)
        return folder


def peak_memory() -> int:
    """The most bytes that this process has held, since `reset_peak` where the system lets it."""
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak() -> None:
    """Let the peak begin anew with what is held now. Linux; elsewhere the old one counts on."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def serve(module: str, run: str, folder: str, size: str) -> None:
    """Run at every line of the input; a line that is not empty is where the result is saved."""
    # Libraries print: what they write goes to stderr, the answers to the true output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    runs = importlib.import_module(f"benchmarks.{module}").RUNS
    reset_peak()
    imported = peak_memory()
    turns = runs[run](Job(Path(folder), int(size)))
    for line in sys.stdin:
        try:
            less = next(turns) or 0.0
            began = time.perf_counter()
            result = next(turns)
            seconds = time.perf_counter() - began - less
            answer = {"seconds": seconds, "peak": peak_memory() - imported}
            if path := line.strip():
                np.save(path, read_pixels(result) if isinstance(result, Path) else result)
        except UserError as error:  # Such as a picture that does not fit in memory.
            answer = {"fault": str(error)}
        print(json.dumps(answer), file=answers)


class Worker:
    """A process with one library in it that runs one contender when it is told to.

    Args:
        module: `ours` or `torch_adain`, of this package.
        run: A name in the module's `RUNS`.
        job: What it is given.
    """

    def __init__(self, module: str, run: str, job: Job):
        words = [sys.executable, "-m", "benchmarks.measure", module, run, job.folder, job.size]
        self.name = f"{module} {run}"
        self.path = job.folder / f"{module} {run}.npy"
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            list(map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def __call__(self, save: bool = False) -> dict:
        """One run: its `seconds`, and the bytes at the `peak` so far, above the libraries' own.

        Or the `fault`, a sentence, of one that the package refuses.
        """
        print(self.path if save else "", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            self.log.seek(0)
            raise RuntimeError(f"{self.name} ended with exit code {code}:\n{self.log.read()}")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, fault, *_):
        if fault:
            self.process.kill()  # Which may be in the middle of a minute's work.
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def interleaved(names: Iterable, run: Callable, turns_left: Callable) -> Iterator[tuple]:
    """Run all in turns, A B C A B C ..., so that what disturbs the machine disturbs all.

    Args:
        names: Of those that run.
        run: Called with a name; what it gives is the answer.
        turns_left: Called with a name before each round; one that has none sits it out.

    Yields:
        Name and answer, as soon as it is there.

    Example:
        >>> left = {"a": [1], "b": [1, 2]}
        >>> list(interleaved("ab", lambda name: left[name].pop(), left.get))
        [('a', 1), ('b', 2), ('b', 1)]
    """
    while some := [name for name in names if turns_left(name)]:
        for name in some:
            yield name, run(name)


if __name__ == "__main__":
    serve(*sys.argv[1:])
