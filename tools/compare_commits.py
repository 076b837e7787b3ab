"""Compare what two commits make: pictures, Gatys' method, trainings and exports, bit for bit.

    python tools/compare_commits.py main~1 HEAD
    python tools/compare_commits.py v0.1.0 HEAD --only pictures,training

Both commits are checked out side by side and run on this machine, with one thread, through
`stylize.py` and `train.py` alone. It prints a line for each result. Exit codes: 0 all are equal,
1 some differ, 2 a mistake.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
PHOTO, PAINTING = "examples/content/tiger.jpg", "examples/styles/scream.jpg"
MODELS = ("adain", "magenta", "magenta26", "paintings")
SIGNATURE = """
import sys
import numpy as np
import tensorflow as tf
rng, found = np.random.default_rng(0), {}
module = tf.saved_model.load(sys.argv[1])
styles = module.signatures["serving_default"].structured_input_signature[1].get("style_weights")
for name in ("serving_default", "encode_style"):
    function = module.signatures[name]
    given = {"content": rng.random((1, 67, 91, 3), "float32"), "alpha": np.ones(1, "float32"),
             "style": rng.random((1, 80, 64, 3), "float32")}
    if styles is not None:
        given["style_weights"] = np.eye(1, styles.shape[1], dtype="float32")
    taken = function.structured_input_signature[1]
    outputs = function(**{key: tf.constant(given[key]) for key in taken})
    found |= {f"{name}/{key}": value.numpy() for key, value in outputs.items()}
np.savez(sys.argv[2], **found)
"""


def run(tree: Path, *command: str) -> None:
    """Run a script of a commit with this interpreter; its fault ends the comparison."""
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "PYTHONPATH": "."}
    found = subprocess.run(
        [sys.executable, *command], cwd=tree, env=os.environ | threads, capture_output=True,
        text=True,
    )  # fmt: skip
    if found.returncode:
        raise SystemExit(f"{tree.name}: {' '.join(command)}\n{found.stdout}{found.stderr}")


def pictures(tree: Path, out: Path) -> None:
    """Every model that both commits ship: whole, weakened, in tiles, and in its own colours."""
    for name in MODELS:
        style = {"magenta26": "magenta03", "paintings": "starry_night"}.get(name)
        which = ["--style", style] if style else ["--style-path", PAINTING]
        kinds = {"whole": [], "tiles": ["--tile-size", "128"], "luma": ["--preserve-color", "luma"]}
        if name == "adain":
            kinds["weak"] = ["--alpha", "0.6"]
        for kind, options in kinds.items():
            run(tree, "stylize.py", "--checkpoint", name, "--content-path", PHOTO, *which, *options,
                "--content-size", "300", "--out-format", "png",
                "--out-path", str(out / name / kind))  # fmt: skip


def gatys(tree: Path, out: Path) -> None:
    """Twenty evaluations by each optimiser, over a pyramid of two sizes."""
    for optimizer in ("lbfgs", "adam"):
        run(tree, "stylize.py", "--method", "gatys", "--content-path", PHOTO,
            "--style-path", PAINTING, "--encoder", "vgg16", "--optimizer", optimizer,
            "--content-size", "160", "--scales", "2", "--max-evaluations", "20",
            "--out-format", "png", "--out-path", str(out / optimizer))  # fmt: skip


def training(tree: Path, out: Path) -> None:
    """Five steps by each method."""
    for method in ("adain", "conditional", "predicted"):
        run(tree, "train.py", "--method", method, "--content-path", "examples/content",
            "--style-path", "examples/styles", "--encoder", "vgg16", "--crop-size", "64",
            "--resize-size", "96", "--batch-size", "2", "--max-iter", "5", "--preview-iter", "0",
            "--checkpoint", str(out / method))  # fmt: skip


def export(tree: Path, out: Path) -> None:
    """What the signatures of an exported model give."""
    for name in MODELS:
        run(tree, "stylize.py", "--checkpoint", name, "--export-path", str(out / name))
        run(tree, "-c", SIGNATURE, str(out / name / "1"), str(out / f"{name}.npz"))


PARTS = {"pictures": pictures, "gatys": gatys, "training": training, "export": export}


def commit_of(name: str) -> str:
    """The commit that a name stands for here, whatever it means in a clone."""
    command = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        print(f"compare_commits.py: there is no commit {name!r}", file=sys.stderr)
        raise SystemExit(2)
    return found.stdout.strip()


def results(folder: Path) -> Iterator[tuple[str, str]]:
    """Each result with a digest of what it says."""
    for file in sorted(folder.rglob("*.png")):
        yield str(file.relative_to(folder)), hashlib.sha256(file.read_bytes()).hexdigest()
    for file in sorted(folder.rglob("*.npz")):
        for name, array in np.load(file).items():
            digest = hashlib.sha256(repr((array.shape, array.dtype)).encode() + array.tobytes())
            yield f"{file.relative_to(folder)}:{name}", digest.hexdigest()


def main() -> int:
    """Run the comparison and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    options = parser.parse_args()
    parts, differ = options.only.split(","), 0
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    commits = [commit_of(name) for name in (options.before, options.after)]
    with tempfile.TemporaryDirectory() as place:
        trees = [Path(place, name) for name in ("before", "after")]
        for tree, commit in zip(trees, commits, strict=True):
            subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
            subprocess.run(["git", "checkout", "-q", commit], cwd=tree, check=True)
        for part in parts:
            folders = [Path(place, f"{tree.name}-{part}") for tree in trees]
            for tree, out in zip(trees, folders, strict=True):
                PARTS[part](tree, out)
            before, after = (dict(results(out)) for out in folders)
            if not before:
                raise SystemExit(f"{part}: {options.before} gave no results")
            unlike = sorted(k for k in before | after if before.get(k) != after.get(k))
            differ += len(unlike)
            print(f"{part}: {len(before)} results, {len(unlike)} differ", flush=True)
            for name in unlike:
                print(f"    {name}")
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
