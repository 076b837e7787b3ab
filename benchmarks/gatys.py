"""Gatys' method against other optimisers of the same objective, in one run, side by side.

    python -m benchmarks.gatys --part all

evaluations  How many evaluations of loss and gradient SciPy's L-BFGS-B takes to a loss, and how
             many ours takes to the same: the optimiser alone, and coarse to fine.
seconds      How long PyTorch's L-BFGS takes to its best loss, and ours to the same.
overhead     What an iteration of ours costs beside the evaluation in it.

Ratios are ours over the other's: below 1 ours is less. Encoder vgg16, style weight 100, average
pooling, start at the photo, pixels between 0 and 1 but for PyTorch's, which has no bounds. The loss
of each of our pictures is measured within its time. Needs the extra `bench`.
"""

import argparse
import bisect
import itertools
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks import parser_of
from tf_style.gatys.bounds import BOUNDED
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.lbfgs import lbfgs
from tf_style.gatys.objective import Objective
from tf_style.gatys.optimisation import encoder_for, gatys
from tf_style.gatys.pyramid import plan
from tf_style.images.reading import read_image
from tf_style.images.resizing import resize, scaled_size
from tf_style.machine import compute_dtype
from tf_style.nn.vgg import MEAN_BGR, keras_name, layers_up_to

CONFIG = {
    "encoder": "vgg16",
    "style_weight": 100.0,
    "pooling": "avg",
    "init": "content",
    "precision": "float32",
}


class Run(NamedTuple):
    """Best losses so far; `cost` is the evaluations by pixels, `plain` their number."""

    cost: list
    plain: list
    best: list
    iterations: int

    def reaches(self, loss: float) -> int | None:
        """Index of the first loss that is as low."""
        return next((k for k, found in enumerate(self.best) if found <= loss), None)

    def within(self, evaluations: int) -> float:
        """The loss after so many evaluations, not by pixels."""
        return [y for n, y in zip(self.plain, self.best, strict=True) if n <= evaluations][-1]

    @classmethod
    def of(cls, states: list[tuple], iterations: int) -> "Run":
        """From (evaluations, loss) or (evaluations by pixels, evaluations, loss) each."""
        columns = list(map(list, zip(*states, strict=True)))
        best = list(np.minimum.accumulate(columns[-1]))
        return cls(columns[0], columns[-2], best, iterations)


def pictures(options: argparse.Namespace, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Photo and painting, the longer side of each at `size` px."""
    found = [read_image(path) for path in (options.content, options.style)]
    return tuple(resize(x, *scaled_size(*x.shape[:2], longer=size)) for x in found)


def by_scipy(
    objective: Objective, start: np.ndarray, limit: int, seen: Callable[[float, np.ndarray], None]
) -> tuple[int, str]:
    """SciPy's L-BFGS-B between 0 and 1, in float64 around float32 evaluations, each shown to
    `seen(loss, pixels)`.

    Returns its iterations, and why it ended.
    """
    from scipy.optimize import minimize

    def function(pixels):
        value, gradient = objective(tf.constant(pixels, tf.float32))
        seen(float(value), pixels)
        return float(value), gradient.numpy().astype("float64")

    settings = {"maxcor": 10, "ftol": 0, "gtol": 0, "maxfun": limit, "maxiter": limit}
    start = start.astype("float64").ravel()
    bounds = [(0, 1)] * start.size
    found = minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds, options=settings)
    return found.nit, found.message


def scipy_run(objective: Objective, start: np.ndarray, limit: int) -> Run:
    """The losses of SciPy's L-BFGS-B."""
    values = []
    iterations, why = by_scipy(objective, start, limit, lambda value, _: values.append(value))
    if len(values) < limit:
        print(f"SciPy ended after {len(values)} evaluations: {why}")
    return Run.of(list(enumerate(values, 1)), iterations)


def our_run(objective: Objective, start: np.ndarray, limit: int, history: int) -> Run:
    """The package's L-BFGS alone, at one scale."""
    states = []
    for state in lbfgs(BOUNDED.of(objective), BOUNDED.start(start), history=history):
        states.append((state.evaluations, state.value))
        if state.stopped or state.evaluations >= limit:
            break
    return Run.of(states, len(states))


def tfp_run(objective: Objective, start: np.ndarray, limit: int) -> Run:
    """TensorFlow Probability's L-BFGS with its defaults, an iteration at a time."""
    from tensorflow_probability.python.optimizer import lbfgs as tfp_lbfgs

    function, start = BOUNDED.of(objective), BOUNDED.start(start)
    first = function(tf.constant(start))[0]

    def scaled(z):
        value, gradient = function(z)
        return value / first, gradient / first

    begin = tf.function(lambda x: tfp_lbfgs.minimize(scaled, x, tolerance=0.0, max_iterations=0))
    go_on = tf.function(
        lambda before: tfp_lbfgs.minimize(
            scaled,
            initial_position=None,
            previous_optimizer_results=before,
            tolerance=0.0,
            max_iterations=before.num_iterations + 1,
        )
    )
    found, states = begin(tf.constant(start)), [(1, float(first))]
    while not (found.converged or found.failed) and states[-1][0] < limit:
        found = go_on(found)
        value = float(found.objective_value * first)
        states.append((int(found.num_objective_evaluations), value))
    return Run.of(states, len(states) - 1)


def coarse_to_fine(content: np.ndarray, style: np.ndarray, limit: int) -> Run:
    """`gatys` at two scales; an evaluation of the half size costs a quarter."""
    config = GatysConfig(scales=2, max_evaluations=limit, **CONFIG)
    if len(plan(*content.shape[:2], 2, limit)) < 2:
        raise SystemExit("Two scales need 64 px or more of the shorter side: a larger --size.")
    cost, before, states, iterations = 0.0, 0, [], 0
    for iterate in gatys(content, [style], config):
        cost += (iterate.evaluations - before) * iterate.image.size / content.size
        before, iterations = iterate.evaluations, iterations + 1
        if iterate.image.shape == content.shape:
            states.append((cost, iterate.evaluations, iterate.loss))
    return Run.of(states, iterations)


def compare_evaluations(options: argparse.Namespace) -> None:
    """Evaluations to SciPy's losses, and the loss after the last."""
    content, style = pictures(options, options.size)
    encoder, weights = encoder_for(GatysConfig(**CONFIG))
    objective = Objective(encoder, content, style, weights)
    start, limit = content.reshape(-1), options.evaluations
    first = float(objective(tf.constant(start))[0])
    scipy = scipy_run(objective, start, limit)
    targets = {n: scipy.within(n) for n in options.at}
    print(f"\n## evaluations, {content.shape[1]}x{content.shape[0]} px; the start's loss {first:g}")
    print("SciPy's: " + ", ".join(f"{y:.4g} after {n}" for n, y in targets.items()))
    print("Cells: evaluations to that loss, by pixels (their plain number) ratio to SciPy's.\n")
    titles = [f"to SciPy's {n}" for n in targets]
    last = f"loss after {limit} / start's"
    table("optimiser", "per iteration", *titles, "median ratio", last, "/ SciPy's")
    whole = coarse_to_fine(content, style, limit)
    # An eighth of a budget is coarse: 1.1 n evaluations cost 0.14 n / 4 + 0.96 n.
    budgets = {n: coarse_to_fine(content, style, round(1.1 * n)) for n in targets}
    rows = {"SciPy L-BFGS-B, maxcor 10": scipy}
    for history in (20, 50):
        rows[f"ours, one scale, history {history}"] = our_run(objective, start, limit, history)
    rows["ours, two scales, budgets as costly as SciPy's"] = None
    rows[f"ours, two scales, budget {limit}"] = whole
    rows["TensorFlow Probability's defaults"] = tfp_run(objective, start, limit)
    for name, run in rows.items():
        cells, ratios = [], []
        for n, loss in targets.items():
            of = run or budgets[n]
            k = of.reaches(loss)
            if k is None:
                cells.append(f"not within {of.plain[-1]}")
            else:
                ratios.append(of.cost[k] / n)
                cells.append(f"{of.cost[k]:.1f} ({of.plain[k]}) {ratios[-1]:.2f}")
        median = f"{np.median(ratios):.2f}" if len(ratios) == len(cells) else "-"
        per, *ends = ("-",) * 3
        if run:
            end, other = run.within(limit), scipy.within(limit)
            per = f"{run.plain[-1] / max(run.iterations, 1):.2f}"
            ends = f"{end / first:.5f}", f"{end / other:.3f}"
        table(name, per, *cells, median, *ends)


def torch_objective(objective: Objective, content: np.ndarray, style: np.ndarray):
    """The same loss in PyTorch, NCHW, from the published algorithm: image -> loss."""
    import torch
    from torch.nn import functional

    encoder, weights = objective.encoder, objective.weights
    layers = {}
    for layer in layers_up_to("vgg16", list(weights.layers)):
        kernel, bias = encoder.get_layer(keras_name(layer)).get_weights()
        kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        layers[layer] = torch.from_numpy(kernel), torch.from_numpy(bias)
    mean = torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)

    def features(image):
        x, found = image.flip(1) * 255 - mean, {}
        for layer, (kernel, bias) in layers.items():
            if layer.endswith("_1") and layer != "relu1_1":
                x = functional.avg_pool2d(x, 2)
            x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
            x = functional.relu(functional.conv2d(x, kernel, bias))
            found[layer] = x
        return found

    def gram(x):
        x = x.flatten(2)[0]
        return x @ x.T / x.shape[1]

    with torch.no_grad():
        of_content, of_style = features(as_nchw(content)), features(as_nchw(style))
        contents = {layer: of_content[layer] for layer in weights.content}
        grams = {layer: gram(of_style[layer]) for layer, _ in weights.style}

    def loss(image):
        found = features(image)
        value = sum(
            w * (found[k] - contents[k]).square().mean() for k, w in weights.content.items()
        )
        for (layer, _), weight in weights.style.items():
            value = value + weight * (gram(found[layer]) - grams[layer]).square().mean() / 4
        return value

    return loss


def as_nchw(image: np.ndarray):
    """A torch tensor `(1, 3, height, width)`."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))


def check_same(objective: Objective, loss, content: np.ndarray) -> None:
    """Both must give one value and gradient: at the photo, and where the content counts too."""
    noise = np.random.default_rng(0).normal(0, 0.1, content.shape).astype("float32")
    for image in (content, content + noise):
        value, gradient = (x.numpy() for x in objective(tf.constant(image.reshape(-1))))
        pixels = as_nchw(image).requires_grad_()
        other = loss(pixels)
        other.backward()
        other_gradient = pixels.grad.numpy()[0].transpose(1, 2, 0).reshape(-1)
        np.testing.assert_allclose(other.item(), value, rtol=1e-3)
        error = np.linalg.norm(other_gradient - gradient) / np.linalg.norm(gradient)
        np.testing.assert_array_less(error, 1e-3)


def torch_run(loss, content: np.ndarray, limit: int, line_search: str | None) -> list[tuple]:
    """Loss and time of every evaluation of PyTorch's L-BFGS, as the usual port calls it."""
    import torch

    pixels, found = as_nchw(content).clone().requires_grad_(), []
    optimizer = torch.optim.LBFGS(
        [pixels], lr=1, history_size=100, max_iter=limit, max_eval=limit,
        tolerance_grad=0, tolerance_change=0, line_search_fn=line_search,
    )  # fmt: skip

    def closure():
        optimizer.zero_grad()
        value = loss(pixels)
        value.backward()
        found.append((value.item(), time.monotonic()))
        return value

    optimizer.step(closure)
    return found[:limit]


def compare_seconds(options: argparse.Namespace) -> None:
    """Seconds to the best loss of PyTorch's L-BFGS."""
    import torch

    content, style = pictures(options, options.seconds_size)
    encoder, weights = encoder_for(GatysConfig(**CONFIG))
    objective = Objective(encoder, content, style, weights)
    check_same(objective, torch_objective(objective, content, style), content)
    print(
        f"\n## seconds, {content.shape[1]}x{content.shape[0]} px, {torch.get_num_threads()} torch"
    )
    print("threads; both give the same loss and gradient (1e-3) at the photo and with noise.")
    print("Ours includes making the encoder and tracing, PyTorch's making the targets.")
    for line_search in (None, "strong_wolfe"):
        began = time.monotonic()
        loss = torch_objective(objective, content, style)
        found = torch_run(loss, content, options.reference_evaluations, line_search)
        values = np.array([value for value, _ in found])
        # It diverges where it is not finite, or ends no lower than it began.
        if np.isfinite(values).all() and values[-1] < values[0]:
            break
        print(f"PyTorch's L-BFGS, line search {line_search}, diverges: {values[0]:g} at the start,")
        print(f"{np.nanmin(values):g} at best, {values[-1]:g} after {len(values)} evaluations.")
    k = int(np.nanargmin(values))
    best, reference, each = values[k], found[k][1] - began, np.diff([t for _, t in found])
    table(
        "optimiser", "evaluations", "loss", "seconds", "ratio", "median s per evaluation", "ratio"
    )
    name, each = f"PyTorch L-BFGS, line search {line_search}", np.median(each)
    table(name, k + 1, f"{best:.5g}", f"{reference:.1f}", 1, f"{each:.3f}", 1)
    for scales in (0, 1):
        for precision in ("auto", "float32"):
            changed = {"precision": precision, "scales": scales}
            config = GatysConfig(max_evaluations=options.evaluations, **CONFIG | changed)
            times, near = [], []
            for ours in gatys(content, [style], config):
                if ours.image.shape == content.shape:
                    times.append((ours.evaluations, ours.seconds))
                    near += [ours] if ours.loss <= 1.02 * best else []
                    # A loss of bfloat16 is less than a hundredth off.
                    if ours.loss <= (best if precision == "float32" else 0.99 * best):
                        break
            # What it is in float32, after the clock has stopped; the first that is as low.
            candidate, loss = first_as_low(objective, near or [ours], best)
            # The first iteration at a scale has the tracing.
            own = [(t - s) / (m - n) for (n, s), (m, t) in itertools.pairwise(times) if m > n]
            own = np.median(own or [np.nan])
            scale = "coarse to fine" if scales == 0 else "one scale"
            name = f"ours, {scale}, {compute_dtype(precision)}"
            found = f"{loss:.5g}" + (" (not reached)" if loss > best else "")
            table(
                name, candidate.evaluations, found, f"{candidate.seconds:.1f}",
                f"{candidate.seconds / reference:.2f}", f"{own:.3f}", f"{own / each:.2f}",
            )  # fmt: skip


def first_as_low(objective: Objective, iterates: list, loss: float):
    """By halves, as losses fall: the first iterate that is as low, else the last; and its loss."""
    found = {}

    def low(k):
        found[k] = float(objective(tf.constant(iterates[k].image.reshape(-1)))[0])
        return found[k] <= loss

    k = min(bisect.bisect_left(range(len(iterates)), True, key=low), len(iterates) - 1)
    low(k)
    return iterates[k], found[k]


def compare_overhead(options: argparse.Namespace) -> None:
    """Seconds of an iteration over those of its evaluation alone, in turns."""
    content, style = pictures(options, options.overhead_size)
    encoder, weights = encoder_for(GatysConfig(**CONFIG))
    objective = Objective(encoder, content, style, weights)
    start = tf.constant(content.reshape(-1))
    optimizer, alone, iteration, skipped, before = lbfgs(objective, start), [], [], 0, 0
    for k in range(options.repeats + 5):
        began = time.perf_counter()
        value, _ = objective.value_and_gradient(start)
        float(value)
        between = time.perf_counter()
        state = next(optimizer)
        ended = time.perf_counter()
        if k >= 5 and state.evaluations == before + 1:  # The first trace and fill caches.
            alone.append(between - began)
            iteration.append(ended - between)
        skipped += k >= 5 and state.evaluations != before + 1
        before = state.evaluations
        if state.stopped:
            break
    print(f"\n## overhead, {content.shape[1]}x{content.shape[0]} px, medians of {len(alone)};")
    print(f"{skipped} iterations of more than one evaluation left out\n")
    table("evaluation alone, s", "iteration, s", "ratio")
    one, other = np.median(alone), np.median(iteration)
    table(f"{one:.4f}", f"{other:.4f}", f"{other / one:.3f}")


def table(*cells) -> None:
    """A row; a title row (the first of cells is one of these words) is followed by its rule."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    if cells[0] in ("optimiser", "evaluation alone, s"):
        print("|" + "---|" * len(cells))


PARTS = {
    "evaluations": compare_evaluations,
    "seconds": compare_seconds,
    "overhead": compare_overhead,
}


def main() -> None:
    """Run the parts that are asked for."""
    parser = parser_of("gatys", __doc__)
    add = parser.add_argument
    add("--part", choices=(*PARTS, "all"), default="all", help="which comparison")
    add("--content", default="examples/content/astronaut.jpg", help="the photo")
    add("--style", default="examples/styles/starry_night.jpg", help="the painting")
    add("--size", type=int, default=112, help="longer side in px, part evaluations [112]")
    add("--seconds-size", type=int, default=512, help="likewise, part seconds [512]")
    add("--overhead-size", type=int, default=256, help="likewise, part overhead [256]")
    add("--at", type=int, nargs="+", default=[100, 200, 400],
        help="evaluations after which SciPy's losses are taken [100 200 400]")  # fmt: skip
    add("--evaluations", type=int, default=500, help="the most of any of them [500]")
    add("--reference-evaluations", type=int, default=200, help="PyTorch's [200]")
    add("--repeats", type=int, default=40, help="iterations of part overhead [40]")
    options = parser.parse_args()
    if max(options.at) > options.evaluations:
        parser.error("--at goes no further than --evaluations")
    threads = tf.config.threading
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}; TensorFlow")
    print(f"{tf.__version__}, threads {threads.get_intra_op_parallelism_threads() or 'default'}")
    for name in PARTS if options.part == "all" else [options.part]:
        PARTS[name](options)
        print(f"\nload now {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
