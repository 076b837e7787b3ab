"""Which results a run of `stylize.py` makes, and how they are named."""

import os
from collections.abc import Callable
from pathlib import Path

from tf_style.config import Options
from tf_style.errors import UserError
from tf_style.images.listing import RESULT, SUFFIXES, list_images, would_list
from tf_style.images.writing import check_output, check_size, out_format
from tf_style.option_groups import Results

__all__ = ["check_apart", "check_sheet", "outputs_of", "pictures_of", "short_names", "written_by"]


def pictures_of(config: Options, option: str) -> list[Path]:
    """Return the pictures that an option names; a fault names the flag.

    Args:
        config: All options of the run.
        option: `content_path` or `style_path`.
    """
    try:
        return list_images(getattr(config, option), written_by(config))
    except UserError as error:
        default = getattr(config, option) == getattr(type(config), option)
        flag = f"--{option.replace('_', '-')}{' is not given' if default else ''}"
        raise UserError(f"{flag}: {error}") from error


def written_by(config: Options) -> list[str]:
    """Where a run writes pictures: the folder of its results or its training, and animations."""
    return list(config.paths("out").values())


def check_apart(config: Options, *written: str | Path) -> None:
    """Refuse to write pictures among those that are read, where nobody could tell them apart.

    Args:
        config: With paths to read.
        written: Files that will be written.

    Raises:
        UserError: One would be read the next time.
    """
    for option, path in config.paths("in").items():
        for file in written:
            if would_list(path, file):
                raise UserError(
                    f"`{file}` would lie among the pictures of --{option.replace('_', '-')} and be "
                    "taken for one of them the next time: write to another folder."
                )


def outputs_of(
    config: Results,
    contents: list[Path],
    labels: list[str],
    unfinished: Callable[[Path], bool] = lambda path: False,
    resume: bool = False,
) -> tuple[int, dict[tuple[Path, str], Path]]:
    """Return how many results there are in all, and the files of those that are to be made.

    Every photo with every style. All names are checked before any work.

    Args:
        config: All options of the run.
        contents: The photos.
        labels: Short names of the styles, no two alike.
        unfinished: Whether a result was begun and is not what is asked for: such a one counts as
            none if the run is to be resumed.
        resume: Whether unfinished results are resumed.

    Raises:
        UserError: Results that exist, two of one name, or names that cannot be written.
    """
    outputs = _outputs(config, contents, labels)
    films = [path for option, path in config.paths("out").items() if option != "out_path"]
    check_apart(config, *outputs.values(), *films)
    begun = [key for key, path in outputs.items() if unfinished(path)]
    resumed = begun if resume else []
    if begun and not resume and not config.overwrite:
        raise UserError(
            f"`{outputs[begun[0]]}` was begun and not finished: --resume continues it, "
            "--overwrite begins anew."
        )
    exist = [key for key, path in outputs.items() if os.path.lexists(path) and key not in resumed]
    # A resumed run does not make again what is finished.
    leave = config.skip_existing or resume
    if exist and not config.overwrite and not leave:
        raise UserError(
            f"Results exist already: {len(exist)} of {len(outputs)}, such as "
            f"`{outputs[exist[0]]}`; give --overwrite, --skip-existing or another --out-path."
        )
    todo = {key: path for key, path in outputs.items() if not leave or key not in exist}
    for key, path in todo.items():
        check_output(path, config.overwrite or key in resumed)
    return len(outputs), todo


def _outputs(config, contents, labels):
    """Every pair's file: {(content, label): path}."""
    folder, suffix = Path(config.out_path), config.out_format
    if _is_file(folder):
        if (count := len(contents) * len(labels)) > 1:
            raise UserError(
                f"`out_path` {folder} is one file, but {count} pictures would be made: give a "
                "folder."
            )
        if suffix not in ("jpg", out_format(folder)):  # jpg is the default of who says nothing.
            raise UserError(f"`out_format` {suffix} contradicts `out_path` {folder}.")
        return {(contents[0], labels[0]): folder}
    outputs = {
        (content, label): folder / f"{name}{RESULT}{label}.{suffix}"
        for content, name in short_names(contents).items()
        for label in labels
    }
    first = {}
    for (content, _), path in outputs.items():
        # `a_stylized_b` in the style of `c` is named as `a` in the style of `b_stylized_c`.
        if first.setdefault(path, content) != content:
            raise UserError(f"{first[path]} and {content} would both give `{path}`; rename one.")
    return outputs


def _is_file(out_path):
    """Whether results go to one file: it has a picture's suffix, and is no folder."""
    return out_path.suffix[1:].lower() in SUFFIXES and not out_path.is_dir()


def check_sheet(
    config: Results,
    content: Path,
    height: int,
    width: int,
    rows: int = 1,
    columns: int = 1,
) -> None:
    """Refuse results of more pixels a side than their format has, before any work.

    Args:
        config: All options of the run.
        content: The photo.
        height: Height at which it is stylised, in pixels.
        width: Width at which it is stylised, in pixels.
        rows: How many pictures of that size a result shows one below another.
        columns: How many it shows side by side.

    Raises:
        UserError: They would be too large.

    Example:
        >>> check_sheet(Results(out_format="png"), Path("a.jpg"), 4096, 4096, columns=5)
    """
    path = Path(config.out_path)
    try:
        check_size(
            rows * height,
            columns * width,
            out_format(path) if _is_file(path) else config.out_format,
        )
    except UserError as error:
        raise UserError(f"`{content}`: {error}") from error


def short_names(paths: list[Path]) -> dict[Path, str]:
    """Return a short name for each path, no two alike: its stem, with as many folders as it takes.

    Example:
        >>> list(short_names([Path("x/a.png"), Path("y/a.png")]).values())
        ['x_a', 'y_a']
    """
    names = {path: path.stem for path in paths}
    if len(set(names.values())) < len(paths):
        root = Path(os.path.commonpath([path.parent for path in paths]))
        names = {path: "_".join(path.relative_to(root).with_suffix("").parts) for path in paths}
    if len(set(names.values())) < len(paths):
        names = {path: f"{name}_{path.suffix[1:]}" for path, name in names.items()}
    if len(set(names.values())) < len(paths):
        names = {path: f"{i:04d}_{name}" for i, (path, name) in enumerate(names.items())}
    return names
