"""List the models that ship with the package: what they do, their size, licence and use.

tf-style models
"""

import dataclasses
import re
from pathlib import Path

from tf_style.cli import app
from tf_style.config import Options

__all__ = ["main", "shipped_models"]

METHODS = {
    "adain": "any painting, by AdaIN",
    "conditional": "{} styles of a table, by name",
    "predicted": "any painting, by a predictor",
}


@dataclasses.dataclass(frozen=True)
class ModelsConfig(Options):
    """No options."""


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return app.run(ModelsConfig, _main, __doc__, argv)


def _main(config: ModelsConfig) -> int:
    for name, what, size, licence, example in shipped_models():
        print(f"{name}\n    {what}; {size:.1f} MB; {licence}\n    {example}")
    return app.OK


def shipped_models() -> list[tuple[str, str, float, str, str]]:
    """Return name, what it does, MB, licence and an example of every model that ships.

    Example:
        >>> [name for name, *_ in shipped_models()]
        ['adain', 'magenta', 'magenta26', 'paintings', 'predicted']
    """
    from tf_style import checkpoint

    found = []
    for folder in sorted(path.parent for path in checkpoint.PRETRAINED.glob("*/config.json")):
        config = checkpoint.read_config(folder)
        styles = config["model"].get("styles", ())
        what = METHODS[config["method"]].format(len(styles))
        size = sum(file.stat().st_size for file in folder.glob("*.npz")) / 1e6
        which = f"photo.jpg --style {styles[-1]}" if styles else "photo.jpg painting.jpg"
        example = f"tf-style stylize {which} --checkpoint {folder.name}"
        found.append((folder.name, what, size, _licence(folder), example))
    return found


def _licence(folder: Path) -> str:
    """The licence that a model's card names."""
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    found = re.search(r"Apache License 2\.0|MIT", card)
    return found[0] if found else "see its MODEL_CARD.md"
