"""Whether a predictor reads styles that it never saw: their style loss against the mean style's.

    python train.py --method predicted --content-path photos --style-path paintings
    python -m benchmarks.held_out_styles --checkpoint ckpt --trained-on paintings \\
        --content other_photos --style other_paintings

Every held-out painting is given to some held-out photos three ways: by the numbers that are
predicted from it, by the mean of the numbers of the paintings trained on, and not at all. The style
loss is the training's. Were the predictor hollow, its own numbers would be no better than the mean.
"""

import numpy as np

from benchmarks import parser_of, square
from tf_style import checkpoint
from tf_style.config import from_dict
from tf_style.gatys.objective import Objective
from tf_style.gatys.optimisation import encoder_for
from tf_style.images.listing import list_images
from tf_style.inference.style_transfer import StyleTransfer, load
from tf_style.training.config import PredictedConfig

# Quantiles that are printed.
QUANTILES = (0.1, 0.5, 0.9)


def mean_style(stylize: StyleTransfer, paths: list, size: int) -> np.ndarray:
    """The mean of the numbers predicted from some paintings."""
    return np.mean([stylize.encode_style(square(path, size)) for path in paths], axis=0)


def main() -> None:
    """Print the losses' means and the quantiles of their ratios."""
    parser = parser_of("held_out_styles", __doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, help="a model trained by --method predicted")
    add("--trained-on", required=True, help="the paintings that it was trained on")
    add("--content", required=True, help="held-out photos")
    add("--style", required=True, help="held-out paintings")
    add("--photos", type=int, default=4, help="photos for each painting [4]")
    add("--size", type=int, default=256, help="side of the squares in px [256]")
    options = parser.parse_args()

    config = from_dict(PredictedConfig, checkpoint.read_config(options.checkpoint)["training"])
    stylize = load(options.checkpoint, "float32")
    encoder, weights = encoder_for(config)
    known, held_out = list_images(options.trained_on), list_images(options.style)
    seen = {path.read_bytes() for path in known}
    if any(path.read_bytes() in seen for path in held_out):
        raise SystemExit(f"A painting of {options.style} is one of those trained on.")
    mean = mean_style(stylize, known, config.style_size)
    photos, rows = list_images(options.content), []
    for i, path in enumerate(held_out):
        # The style loss is taken at the size that it was trained at.
        style = square(path, config.style_size)
        predicted = stylize.encode_style(style)
        for k in range(options.photos):
            photo = square(photos[(i * options.photos + k) % len(photos)], options.size)
            objective = Objective(encoder, photo, style, weights)
            images = stylize.transfer(photo, predicted), stylize.transfer(photo, mean), photo
            rows.append([float(objective.parts(image[None])[1]) for image in images])
    own, by_mean, plain = np.transpose(rows)
    print(
        f"{len(known)} paintings trained on, {len(held_out)} held out, {options.photos} photos each"
    )
    print(f"mean style loss, predicted style:  {own.mean():.4g}")
    print(f"mean style loss, mean style:       {by_mean.mean():.4g}")
    print(f"mean style loss, untouched photo:  {plain.mean():.4g}")
    print(f"predicted / mean style: {own.mean() / by_mean.mean():.3f} of the means; each pair's:")
    quantiles = np.quantile(own / by_mean, QUANTILES)
    print(", ".join(f"{q:.0%} quantile {x:.3f}" for q, x in zip(QUANTILES, quantiles, strict=True)))
    print(f"predicted better than the mean style for {np.mean(own < by_mean):.0%} of the pairs")


if __name__ == "__main__":
    main()
