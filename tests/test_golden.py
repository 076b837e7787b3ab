"""What tiny networks gave when they were last looked at, within what processors differ by.

    python tests/test_golden.py

writes `golden/tiny.npz` anew, after a change that is meant to change these numbers.
"""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests/golden/tiny.npz"
SMALL = {"contract": (4, 5, 6), "blocks": 1, "expand": (4, 3)}


def picture(height, width, seed):
    """A smooth picture with colours, and some detail."""
    y, x = np.mgrid[:height, :width] / 20
    waves = [np.sin(x * (k + 1) + seed) * np.cos(y * (3 - k) - seed) for k in range(3)]
    return np.float32(0.5 + 0.4 * np.stack(waves, axis=-1))


PHOTO, PAINTING = picture(33, 41, 0), picture(40, 36, 5)


def fill(stylizer):
    """Fixed weights, whatever the initialisers of this version of Keras give."""
    for index, (name, variable) in enumerate(sorted(stylizer.saved_variables().items())):
        rng = np.random.default_rng(index)
        fan_in = max(1, np.prod(variable.shape[:-1]))
        scale = 0.1 if len(variable.shape) < 2 else (2 / fan_in) ** 0.5
        start = variable.numpy() if name.startswith("styles/") else 0.0
        variable.assign(np.float32(start + rng.normal(0, scale, variable.shape)))
    return stylizer


def stylized(method):
    """A picture by each method, at full strength and at half."""
    from tf_style.inference.style_transfer import StyleTransfer
    from tf_style.nn.adain import AdaINStylizer
    from tf_style.nn.conditional import ConditionalStylizer
    from tf_style.nn.predicted import PredictedStylizer
    from tf_style.nn.vgg import build_encoder

    encoder, _, _ = build_encoder("vgg16", ("relu2_1",), "packaged")
    if method == "adain":
        stylizer = AdaINStylizer("vgg16", "relu2_1")
        stylizer.packaged = True
        stylizer.encoder.set_weights(encoder.get_weights())
    elif method == "conditional":
        stylizer = ConditionalStylizer(("wave", "night"), **SMALL)
    else:
        model = SMALL | {"backbone": "vgg16", "plain_contraction": True, "grain": 0.0}
        stylizer = PredictedStylizer.from_checkpoint(model)
    stylize = StyleTransfer(fill(stylizer))
    style = "wave:0.6,night:0.4" if stylize.styles else PAINTING
    return np.stack([stylize(PHOTO, style, alpha) for alpha in (1.0, 0.5)])


def optimised(optimizer):
    """Gatys' method after a few evaluations."""
    from tf_style.gatys.in_memory import optimize

    options = {"encoder": "vgg16", "style_layers": ("relu1_1",), "content_layers": ("relu2_1",)}
    return optimize(PHOTO, PAINTING, optimizer=optimizer, max_evaluations=4, precision="float32",
                    **options)  # fmt: skip


MADE = {
    **{name: functools.partial(stylized, name) for name in ("adain", "conditional", "predicted")},
    **{name: functools.partial(optimised, name) for name in ("lbfgs", "adam")},
}


def test_every_golden_picture_is_made():
    assert set(np.load(GOLDEN)) == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_what_it_was(name):
    found, expected = MADE[name](), np.load(GOLDEN)[name]
    assert found.shape == expected.shape
    # Stored in 16 bits; sums of other processors come in another order.
    np.testing.assert_allclose(found, np.float32(expected), atol=2e-3)
    assert np.std(found) > 0.02


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    np.savez_compressed(GOLDEN, **{name: np.float16(make()) for name, make in MADE.items()})
