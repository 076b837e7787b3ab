"""Put a trained checkpoint into the package, its weights in half precision.

    python tools/ship.py ckpt paintings

Writes tf_style/pretrained/paintings/{config.json, stylizer.npz}: without the training's state, and
without the paths of the machine that it ran on. The model card is written by hand.
"""

import sys
from pathlib import Path

import numpy as np

from tf_style import checkpoint
from tf_style.checkpoint import PRETRAINED
from tf_style.files import to_float16


def main(directory: str, name: str) -> None:
    """Copy what is needed to stylise."""
    config = checkpoint.read_config(directory)
    for option, value in config["training"].items():
        if (option.endswith("_path") or option == "start_from") and value:
            config["training"][option] = Path(value).name
    config["training"]["checkpoint"] = "ckpt"
    folder = PRETRAINED / name
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(Path(directory) / "stylizer.npz", allow_pickle=False) as arrays:
        halves = to_float16(dict(arrays))
    checkpoint.write_stylizer(folder, halves)
    checkpoint.write_config(folder, config)
    print(f"{folder}: {(folder / 'stylizer.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
