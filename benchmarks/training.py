"""A training step of AdaIN against the same step in PyTorch, side by side in one process.

    python -m benchmarks.training

Both take the same pairs from the same weights: VGG with random weights, on which no time depends.
PyTorch's step is that of the published ports: content, style and result are encoded, float32, Adam.
First the losses are held against each other in float32; then the steps take turns, and the ratio is
PyTorch's seconds over ours. Needs the extra `bench`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks import parser_of
from tf_style.config import TrainConfig
from tf_style.encoder import MEAN_BGR, layer_names, weight_shapes
from tf_style.precision import compute_dtype, cpu_threads
from tf_style.trainer import AdaINTrainer

# Losses of two programs in float32 differ by no more.
SAME = 1e-3


def random_weights(encoder: str, folder: str) -> str:
    """A file of weights that keep the size of activations (He et al. 2015)."""
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in weight_shapes(encoder, layer_names(encoder)[-1]).items():
        scale = (2 / np.prod(shape[:-1])) ** 0.5 if name.endswith("kernel") else 0.0
        arrays[name] = (scale * rng.normal(size=shape)).astype("float32")
    path = Path(folder) / "weights.npz"
    np.savez(path, **arrays)
    return str(path)


def torch_step(trainer: AdaINTrainer):
    """The same step in PyTorch, NCHW: pairs -> content and style loss."""
    import torch
    from torch.nn import functional

    c = trainer.config
    mean = torch.tensor(MEAN_BGR).reshape(1, 3, 1, 1)

    def convolutions(layers):
        """[(name, kernel, bias)], the last two as tensors."""
        found = []
        for layer in layers:
            kernel, bias = (np.array(x) for x in layer.get_weights())
            kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
            found.append((layer.name, torch.from_numpy(kernel), torch.from_numpy(bias)))
        return found

    encoder = convolutions(x for x in trainer.encoder.layers if "conv" in x.name)
    decoder = convolutions(x for x in trainer.decoder.layers if "conv" in x.name)
    moved = [tensor.requires_grad_() for _, *pair in decoder for tensor in pair]
    optimizer = torch.optim.Adam(moved, c.learning_rate)

    def convolve(x, kernel, bias):
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, bias)

    def features(image):
        x, found = image.flip(1) * 255 - mean, {}
        for name, kernel, bias in encoder:
            block, index = name.removeprefix("block").split("_conv")
            if index == "1" and block != "1":
                x = functional.max_pool2d(x, 2)
            x = functional.relu(convolve(x, kernel, bias))
            found[f"relu{block}_{index}"] = x
        return found

    def decode(x):
        for k, (name, kernel, bias) in enumerate(decoder, 1):
            x = convolve(x, kernel, bias)
            if k < len(decoder):
                x = functional.relu(x)
                if name.endswith("_1"):
                    x = functional.interpolate(x, scale_factor=2, mode="nearest")
        return x

    def moments(x):
        return x.mean((2, 3)), (x.var((2, 3), unbiased=False) + 1e-5).sqrt()

    def step(content, style):
        with torch.no_grad():
            photo, painting = features(content)[c.content_layer], features(style)
            mean_photo, std_photo = moments(photo)
            mean_style, std_style = moments(painting[c.content_layer])
            target = (photo - mean_photo[..., None, None]) / std_photo[..., None, None]
            target = target * std_style[..., None, None] + mean_style[..., None, None]
        found = features(decode(target))
        of_content = (found[c.content_layer] - target).square().mean()
        of_style = sum(
            (a - b).square().sum(1).mean()
            for layer in c.style_layers
            for a, b in zip(moments(found[layer]), moments(painting[layer]), strict=True)
        )
        optimizer.zero_grad()
        (c.content_weight * of_content + c.style_weight * of_style).backward()
        optimizer.step()
        found = c.content_weight * of_content.detach(), c.style_weight * of_style.detach()
        return tuple(map(float, found))

    return step


def main() -> None:
    """Check that both compute the same, then let them take turns."""
    parser = parser_of("training", __doc__)
    parser.add_argument("--encoder", default="vgg19", choices=("vgg19", "vgg16"))
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--size", type=int, default=256, help="pixels of the squares")
    parser.add_argument("--precision", default="auto", help="ours; PyTorch's is float32")
    parser.add_argument("--steps", type=int, default=5, help="of each, after one to warm up")
    race(parser.parse_args())


def race(options: argparse.Namespace) -> None:
    """Print the losses of the first step, and the seconds of the following."""
    import torch

    rng = np.random.default_rng(1)
    shape = (2, options.pairs, options.size, options.size, 3)
    pair = rng.random(shape, "float32")
    batch = (*map(tf.constant, pair), tf.zeros(options.pairs))
    as_nchw = [torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))) for x in pair]
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights(options.encoder, folder)

        def trainer(precision):
            return AdaINTrainer(
                TrainConfig(
                    encoder=options.encoder, encoder_weights=weights, batch_size=options.pairs,
                    precision=precision,
                )
            )  # fmt: skip

        exact, ours = trainer("float32"), trainer(options.precision)
    theirs = torch_step(exact)
    losses = {k: float(x) for k, x in exact.step(batch)[0].items()}
    of_style = sum(x for k, x in losses.items() if k.startswith("style"))
    found = theirs(*as_nchw)
    np.testing.assert_allclose(found, (losses["content"], of_style), rtol=SAME)
    print(f"the first step's content and style loss, float32: {losses['content']:.5g} "
          f"{of_style:.5g}, PyTorch's {found[0]:.5g} {found[1]:.5g}")  # fmt: skip

    seconds = {"PyTorch": [], "ours": []}
    for k in range(options.steps + 1):
        for name, step in (
            ("PyTorch", lambda: theirs(*as_nchw)),
            ("ours", lambda: ours.step(batch)[1].numpy()),
        ):
            began = time.perf_counter()
            step()
            if k:
                seconds[name].append(time.perf_counter() - began)
    threads = f"{cpu_threads()} threads ({torch.get_num_threads()} of PyTorch)"
    numbers = compute_dtype(options.precision)
    print(f"{options.pairs} pairs of {options.size} px, {options.encoder}, {threads}, {numbers}")
    medians = {name: float(np.median(found)) for name, found in seconds.items()}
    for name, found in seconds.items():
        print(f"{name:8} {medians[name]:.2f} s a step (best {min(found):.2f})")
    ratios = np.divide(seconds["PyTorch"], seconds["ours"])
    print(f"ratio {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
