"""How many evaluations of Gatys' method by plain SciPy one pass of a model is worth.

    python -m tf_style.evaluate --checkpoint adain --content-path photos --style-path paintings \\
        --gatys-evaluations= --out-path evaluation
    python -m benchmarks.plain_gatys --evaluation evaluation

Of some pairs of an evaluation, SciPy's L-BFGS-B moves the photo's pixels down the loss of
`stylize.py --method gatys` at its defaults, one scale, in float64 around float32 evaluations.
After each the best picture so far is judged as the models' were; printed are the means of the style
losses, relative to the photo's, and for every model the first evaluation that is as good. Needs the
extra `bench`.
"""

import json
from pathlib import Path

import numpy as np

from benchmarks import parser_of, square
from benchmarks.gatys import by_scipy
from tf_style.config import from_dict
from tf_style.evaluation.config import EvaluateConfig
from tf_style.evaluation.judge import Judge
from tf_style.evaluation.pairs import every_pair
from tf_style.evaluation.summary import summary
from tf_style.gatys.config import GatysConfig
from tf_style.gatys.objective import Objective
from tf_style.gatys.optimisation import encoder_for

STYLE = ("moments", "gram", "centred")

# What `evaluation.py` judges besides; nothing of it is printed here.
REST = {"frame": 0.0, "checkerboard": 0.0}


def best_pictures(objective: Objective, photo: np.ndarray, limit: int) -> list[np.ndarray]:
    """The picture of the lowest loss so far, after each evaluation."""
    found, lowest = [], np.inf

    def keep(value, pixels):
        nonlocal lowest
        image = np.clip(pixels, 0, 1).astype("float32").reshape(photo.shape)
        found.append(image if value < lowest else found[-1])
        lowest = min(lowest, value)

    by_scipy(objective, photo, limit, keep)
    # A line search may end behind the limit, and a search that finds no way down before it.
    return (found + found[-1:] * limit)[:limit]


def main() -> None:
    """Print the losses by evaluation, and what each model is worth."""
    parser = parser_of("plain_gatys", __doc__)
    add = parser.add_argument
    add("--evaluation", required=True, help="the folder of an evaluation")
    add("--pairs", type=int, default=6, help="how many of its pairs [6]")
    add("--limit", type=int, default=50, help="evaluations of loss and gradient [50]")
    options = parser.parse_args()

    file = Path(options.evaluation) / "evaluation.json"
    if not file.exists():
        parser.error(f"--evaluation: {file} is not there; give the --out-path of an evaluation")
    found = json.loads(file.read_text("utf-8"))
    config = from_dict(EvaluateConfig, found["config"])
    names = list(found["pairs"])
    count = min(options.pairs, len(names))
    chosen = {names[i * len(names) // count] for i in range(count)}
    pairs = [pair for pair in every_pair(config) if pair.name in chosen]
    settings = GatysConfig(
        encoder=config.encoder, encoder_weights=config.encoder_weights, precision="float32"
    )
    encoder, weights = encoder_for(settings)
    judge = Judge(config)
    records = {}
    for pair in pairs:
        photo, painting = (square(path, config.size) for path in (pair.photo, pair.painting))
        objective = Objective(encoder, photo, painting, weights)
        rows = {
            f"SciPy, {n}": judge(image, photo, painting) | REST
            for n, image in enumerate(best_pictures(objective, photo, options.limit), 1)
        }
        records[pair.name] = found["pairs"][pair.name] | rows
        print(f"{len(records)}/{len(pairs)} {pair.name}", flush=True)
    means = summary(records)
    print("\n| | moments | Gram | centred Gram |\n|---|---|---|---|")
    for row, values in means.items():
        step = int(row.rpartition(" ")[2]) if row.startswith("SciPy") else 0
        if step % 5 == 0:
            print(f"| {row} | {' | '.join(f'{values[key]:.3f}' for key in STYLE)} |")
    for model in config.models():
        for key in STYLE:
            losses = [means[f"SciPy, {n}"][key] for n in range(1, options.limit + 1)]
            as_good = [n for n, x in enumerate(losses, 1) if x <= means[model][key]]
            worth = as_good[0] if as_good else f"more than {options.limit}"
            print(f"{model}: in {key} worth {worth} evaluations")


if __name__ == "__main__":
    main()
