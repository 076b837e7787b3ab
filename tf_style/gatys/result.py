"""A result of Gatys' method on disk: the picture and, beside it, what it is resumed from.

Beside `result.jpg` stands the folder `result.jpg.progress`: `config.json` with all that makes the
result again, the intermediate pictures `00050.jpg`, `00100.jpg`, ..., and `state.npz` as long as it
is unfinished, `final.npz` thereafter.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from tf_style.config import same_run
from tf_style.errors import UserError
from tf_style.files import read_npz, write_atomically, write_npz
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.optimisation import Iterate
from tf_style.gatys.pyramid import plan
from tf_style.gatys.wanted import CONFIG, FINAL, PROGRESS, STATE, check_unused, frames_of
from tf_style.images.animation import write_film
from tf_style.images.color import preserve_luma
from tf_style.images.reading import read_image
from tf_style.images.resizing import resize
from tf_style.images.sheets import concat
from tf_style.images.writing import check_output, write_image

__all__ = ["Result"]


class Result:
    """The files of one result.

    Args:
        config: All options of the run.
        out: The result's file.
        content: The photo.
        styles: The paintings.
        masks: All masks, whose pixels the result depends on too.

    Attributes:
        folder: The folder beside the result.
        state: The arrays of an unfinished run that is to be resumed, or None.
    """

    def __init__(
        self,
        config: GatysConfig,
        out: Path,
        content: np.ndarray,
        styles: list[np.ndarray],
        masks: list[np.ndarray],
    ):
        self.config, self.out, self.content, self.styles = config, out, content, styles
        self.folder = Path(f"{out}{PROGRESS}")
        self.digest = _digest([content, *styles, *masks])
        self.state = self._read_state() if config.resume else None
        if self.state is None and not config.overwrite:
            check_unused(self.folder)

    def claim(self, iterate: Iterate) -> bool:
        """Take the name at the start, lest it be refused at the end; return whether it was free."""
        c = self.config
        check_output(self.out, c.overwrite or c.resume)
        if c.overwrite:
            self._remove()
        if c.save_every:
            self.keep(iterate)
        elif self.state is None:
            self._keep(iterate, _slim(iterate.state))
        free = not os.path.lexists(self.out)
        if free:
            self.write(iterate, overwrite=False)
        return free

    def keep(self, iterate: Iterate) -> None:
        """Write the picture so far, and what is needed to resume."""
        self._keep(iterate, iterate.state)

    def finish(self, iterate: Iterate) -> None:
        """Write the result and the film, and leave what more evaluations begin with."""
        c = self.config
        if c.save_every:
            self._keep(iterate, _slim(iterate.state))
        self.write(iterate)
        if c.animation:
            images = [read_image(frame) for frame in frames_of(self.folder)]
            write_film(c.animation, images, overwrite=c.overwrite or c.resume)
        (self.folder / STATE).unlink(missing_ok=True)
        if not c.save_every:
            self._remove()

    def write(self, iterate: Iterate, overwrite: bool = True) -> None:
        """Write the picture so far under the result's name."""
        c, image = self.config, self._image(iterate.image)
        image = concat([self.content, *self.styles, image]) if c.concat else image
        write_image(self.out, image, quality=c.quality, overwrite=overwrite)

    def _image(self, image):
        image = resize(image, *self.content.shape[:2])
        luma = self.config.preserve_color == "luma"
        return preserve_luma(image, self.content) if luma else image

    def _keep(self, iterate, state):
        c = self.config
        self.folder.mkdir(parents=True, exist_ok=True)
        about = dataclasses.asdict(c) | {"pictures": self.digest}
        write_atomically(self.folder / CONFIG, json.dumps(about, indent=2).encode())
        write_npz(self.folder / (FINAL if iterate.last else STATE), _flat(state))
        if c.save_every:
            frame = self.folder / f"{iterate.evaluations:05d}.jpg"
            write_image(frame, self._image(iterate.image), quality=c.quality, overwrite=True)

    def _remove(self):
        """Delete what a run has written beside its result, and nothing else."""
        others = (self.folder / name for name in (FINAL, STATE, CONFIG))
        for file in (*frames_of(self.folder), *others):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # There is something else in it, or it is not there.
            self.folder.rmdir()

    def _read_state(self):
        """The arrays of an unfinished picture, if there are any that belong to these options."""
        c, folder = self.config, self.folder
        path = next((folder / x for x in (STATE, FINAL) if (folder / x).exists()), None)
        if path is None:
            return None
        try:
            stored = json.loads((folder / CONFIG).read_text())
            stages = plan(*self.content.shape[:2], c.scales, c.max_evaluations)
            stage = int(read_npz(path, {"stage": ()})["stage"])
            height, width, _ = stages[min(max(stage, 0), len(stages) - 1)]
            arrays = read_npz(path, *_shapes(c, height * width * 3, len(stages)))
        except (UserError, OSError, ValueError) as error:
            raise UserError(f"`{folder}` cannot be resumed: {error} Use --overwrite.") from error
        same_run(stored, c, str(folder))
        if stored.get("pictures") != self.digest:
            raise UserError(
                f"The run in {folder} has other pictures: give the same ones, another --out-path, "
                "or --overwrite to begin anew."
            )
        optimizer = {k.removeprefix("optimizer/"): v for k, v in arrays.items() if "/" in k}
        return {k: v for k, v in arrays.items() if "/" not in k} | {"optimizer": optimizer}


def _digest(images):
    """A digest of the pixels that go in."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def _slim(state):
    """A state without the optimiser's, which begins anew from its position."""
    used = int(state["used"]) + int(state["optimizer"].get("evaluations", 0))
    return state | {"used": used, "finished": False, "optimizer": {}}


def _flat(state):
    """A state as arrays of the types that `read_npz` takes."""
    named = state | {f"optimizer/{name}": x for name, x in state["optimizer"].items()}
    del named["optimizer"]
    # Histories are rows, which become one array when they are written, not before.
    named = {k: x if isinstance(x, tuple) else np.asarray(x) for k, x in named.items()}
    return {
        k: x if isinstance(x, tuple) or x.dtype.kind == "f" else x.astype("int64")
        for k, x in named.items()
    }


def _shapes(config, n, stages):
    """Shapes of a state of n numbers: of what is always there, and of what an optimizer adds."""
    always = {"start": (n,), "position": (n,), "tiles": (stages,)}
    always |= dict.fromkeys(("stage", "before", "used", "retried", "exact", "finished"), ())
    adds = {"evaluations": ()}
    if config.optimizer == "adam":
        adds |= dict.fromkeys(("iterate", "m", "v", "sum"), (n,))
    else:
        adds |= {"scale": (2,), "iterations": (), "objective_value": ()}
        adds |= dict.fromkeys(("position", "objective_gradient"), (n,))
        adds |= {f"{name}_deltas": (config.history, n) for name in ("position", "gradient")}
    return always, {f"optimizer/{name}": shape for name, shape in adds.items()}
