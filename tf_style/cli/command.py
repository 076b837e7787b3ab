"""Neural style transfer: give photos the style of paintings.

    tf-style stylize photo.jpg painting.jpg
    tf-style stylize photos/*.jpg --style painting.jpg --out-path out
    tf-style stylize photo.jpg painting.jpg --method gatys
    tf-style train --content-path coco --style-path wikiart
    tf-style models

`tf-style COMMAND --help` tells what a command does, and lists its options.
"""

import difflib
import importlib
import sys

import tf_style
from tf_style.cli.streams import forgiving_streams

__all__ = ["COMMANDS", "main"]

# Command -> its module, and what it does.
COMMANDS = {
    "stylize": ("stylize", "Give photos the style of paintings."),
    "train": ("train", "Train a model on photos and paintings."),
    "export": ("export", "Write a model for TensorFlow Serving, ONNX, OpenVINO or LiteRT."),
    "evaluate": ("evaluate", "Measure models on pairs of a photo and a painting."),
    "models": ("models", "List the models that ship with the package."),
}

OK, USER_ERROR = 0, 2


@forgiving_streams()
def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    argv = sys.argv if argv is None else argv
    name, *rest = argv[1:] or ["--help"]
    if name in ("-h", "--help", "-help", "--helpfull", "help"):
        print(_help())
        return OK
    if name == "--version":
        print(f"tf_style {tf_style.__version__}")
        return OK
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}."
        print(f"tf-style: There is no command {name!r}; {hint} See --help.", file=sys.stderr)
        return USER_ERROR
    try:
        module = importlib.import_module(f"tf_style.cli.{COMMANDS[name][0]}")
    except ImportError as error:  # Another Keras backend, or a package that is not installed.
        print(f"tf-style: {error}", file=sys.stderr)
        return USER_ERROR
    return module.main([f"tf-style {name}", *rest])


def _help():
    lines = [f"  {name:10}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join([(__doc__ or "").strip(), "", "Commands:", *lines, "", "Other:",
                      "  --version", "        Print the version."])  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
