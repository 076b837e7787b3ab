"""The gradient of Gatys' objective by tiles: what it costs, and what memory it takes.

    python -m benchmarks.tiled_gradient --part all

cost    Processor seconds of an evaluation by tiles and of one without, in turn, and their ratio.
memory  Peak of an optimisation by L-BFGS, each in a process of its own: with what the process
        takes in all, above what it held before, and what was said beforehand.

VGG16 to relu5_1, the paper's layers and losses.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from benchmarks import parser_of
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.objective import Objective
from tf_style.gatys.optimisation import encoder_for, gatys
from tf_style.gatys.pyramid import bytes_of
from tf_style.gatys.tiled_objective import TiledObjective
from tf_style.machine import compute_dtype
from tf_style.memory import BASE_BYTES


def pictures(side: int) -> np.ndarray:
    """Photo, painting and start: noise, which costs what a picture costs."""
    return np.random.default_rng(0).random((3, side, side, 3), "float32")


def cost(options: argparse.Namespace) -> None:
    """Print the processor seconds of each round and the medians' ratio."""
    config = GatysConfig(encoder="vgg16", precision=options.precision)
    encoder, weights = encoder_for(config, compute_dtype(config.precision))
    photo, painting, start = pictures(options.side)
    objectives = {
        "whole": Objective(encoder, photo, painting, weights),
        "tiled": TiledObjective(encoder, photo, painting, weights, tile=options.tile),
    }
    pixels = tf.constant(start.reshape(-1))
    windows = objectives["tiled"].boxes.window.numpy()
    area = np.prod(windows[:, 2:] - windows[:, :2], axis=1).sum() / options.side**2
    print(f"{options.side} px in {len(windows)} tiles of {options.tile} px, {config.precision}")
    print(f"  passes of the encoder over a pixel: {3 * area:.2f}, without tiles 2")
    gradients = {name: objective(pixels)[1] for name, objective in objectives.items()}
    difference = tf.norm(gradients["tiled"] - gradients["whole"]) / tf.norm(gradients["whole"])
    print(f"  the gradients' relative difference: {float(difference):.1e}")
    seconds = {name: [] for name in objectives}
    for _ in range(options.rounds):
        for name, objective in objectives.items():
            began = time.process_time()
            objective(pixels)[1].numpy()
            seconds[name].append(time.process_time() - began)
        print("  " + ", ".join(f"{name} {found[-1]:.1f} s" for name, found in seconds.items()))
    whole, tiled = (statistics.median(seconds[name]) for name in ("whole", "tiled"))
    print(f"  medians: {whole:.1f} s, {tiled:.1f} s, ratio {tiled / whole:.2f}")


def measure(options: argparse.Namespace) -> None:
    """Print as JSON the peak of a few iterations with a full history, in this process."""
    config = GatysConfig(
        encoder="vgg16", precision=options.precision, scales=1, init="style",
        tile_size=options.tile, optimizer=options.optimizer,
    )  # fmt: skip

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    # Whatever is loaded with the first evaluation is the libraries' own.
    photo, painting, _ = pictures(64)
    list(gatys(photo, [painting], GatysConfig(encoder="vgg16", max_evaluations=2, scales=1)))
    photo, painting, _ = pictures(options.side)
    before = peak()
    first = list(itertools.islice(gatys(photo, [painting], config), 2))[-1]
    if config.optimizer == "lbfgs":
        # As it would be after as many iterations: copies of the one pair that there is.
        arrays = first.state["optimizer"]
        for name in ("position_deltas", "gradient_deltas"):
            last = arrays[name][-1]
            arrays[name] = [last + 0.0 for _ in range(config.history)]
        arrays["iterations"] = config.history
    more = gatys(photo, [painting], config, state=first.state)
    last = list(itertools.islice(more, 2))[-1]
    each, fixed = bytes_of(config, options.side, options.side, options.tile)
    said = BASE_BYTES + each * options.side**2 + fixed
    print(json.dumps({"before": before, "peak": peak(), "said": said, "loss": last.loss}))


def memory(options: argparse.Namespace) -> None:
    """Print the peaks of growing sides."""
    print(f"{options.optimizer}, {options.precision}")
    print("  side  tile    peak of all  above before      said  (GB)")
    for side in options.sides:
        command = [
            sys.executable, "-m", "benchmarks.tiled_gradient", "--part", "measure",
            f"--side={side}", f"--tile={options.tile}", f"--precision={options.precision}",
            f"--optimizer={options.optimizer}",
        ]  # fmt: skip
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(lines.splitlines()[-1])
        peak, before, said = (found[name] / 1e9 for name in ("peak", "before", "said"))
        print(
            f"  {side:4d}  {options.tile:4d}  {peak:13.2f}  {peak - before:12.2f}  {said:8.2f}",
            flush=True,
        )


def main() -> None:
    """Read the command line and measure."""
    parser = parser_of("tiled_gradient", __doc__)
    parser.add_argument("--part", default="all", choices=("all", "cost", "memory", "measure"))
    parser.add_argument("--side", type=int, default=1024, help="of the picture of part cost")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048], help="of memory")
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--optimizer", default="lbfgs", choices=("lbfgs", "adam"))
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    options = parser.parse_args()
    if options.part in ("all", "cost"):
        cost(options)
    if options.part in ("all", "memory"):
        memory(options)
    if options.part == "measure":
        measure(options)


if __name__ == "__main__":
    main()
