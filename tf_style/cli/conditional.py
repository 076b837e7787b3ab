"""Train one network for many styles, on a folder of photos and a few paintings, or many.

    python train.py --method conditional --content-path photos --style-path paintings
    python train.py --method conditional --content-path photos --style-path night.jpg \\
        --preset johnson
    python train.py --method conditional --content-path photos --add-style new.jpg
    python train.py --method conditional --content-path photos --start-from paintings \\
        --checkpoint more --add-style new.jpg
    python train.py --method predicted --content-path photos --style-path wikiart

With --method conditional, every painting is a style that is picked by its name or blended with
others (Dumoulin et al. 2017; with one painting it is Johnson et al. 2016). --add-style adds one to
a trained model, in place or, with --start-from, in a new folder, with the options that the model
was trained with. With --method predicted, a second network reads the style from any picture (Ghiasi
et al. 2017).

Photos that cannot be read are left out and named in left_out.tsv; more than 5 % of a folder stop
the training.

Everything goes to --checkpoint: the model, the state to resume from, TensorBoard's logs (shown by
`tensorboard --logdir ckpt/logs`) and previews. The same command again resumes. Ctrl-C, SIGTERM and
SIGHUP save first. Exit codes: 0 done, 2 a mistake that you can mend, 3 the numbers are not finite,
4 out of memory, 5 another worker was lost, 129, 130 or 143 stopped by a signal, saved.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from tf_style.cli import app
from tf_style.training.config import ConditionalConfig

__all__ = ["main"]

# Of the first training's steps, so many train an added style: its other weights are there already.
ADDED_SHARE = 10


def main(argv: list[str], train: Callable[..., int]) -> int:
    """Run the program and return its exit code."""
    return app.run(ConditionalConfig, train, __doc__, argv, _options_of_the_model)


def _options_of_the_model(argv):
    """With --add-style, what the model in --checkpoint was trained by, but for what is new."""
    if not app.value_of("add-style", argv):
        return {}
    from tf_style import checkpoint

    paths = (app.value_of(flag, argv) for flag in ("checkpoint", "start-from"))
    directory, start_from = map(os.path.expanduser, paths)
    directory = directory or ConditionalConfig().checkpoint
    model = checkpoint.extended(directory, start_from)
    trained = checkpoint.read_config(model).get("training", {})
    names = {field.name for field in dataclasses.fields(ConditionalConfig)}
    own = {"overwrite", "progress_gif", "style_path", "checkpoint", "start_from", "method"}
    if model != Path(directory):  # Another's pictures lie elsewhere.
        own |= {"content_path", "val_content_path"}
    options = {name: value for name, value in trained.items() if name in names - own}
    if "max_iter" in options:
        options["max_iter"] = max(1, options["max_iter"] // ADDED_SHARE)
    return options
