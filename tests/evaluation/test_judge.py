"""The losses by which pictures are judged: their closed forms."""

import numpy as np
import pytest
from conftest import picture

from tf_style.evaluation.config import EvaluateConfig
from tf_style.evaluation.judge import Judge

LAYERS = {"content_layer": "relu2_1", "style_layers": ("relu1_1", "relu2_1")}
PHOTO, PAINTING, OTHER = picture(64, 64), picture(64, 64, 1), picture(64, 64, 2)


@pytest.fixture(scope="module")
def judge():
    return Judge(EvaluateConfig(**LAYERS))


def test_the_losses_are_what_they_say(judge):
    found = judge(OTHER, PHOTO, PAINTING)
    features = [
        {k: np.asarray(v[0], "float64") for k, v in judge.features(x[None]).items()}
        for x in (OTHER, PHOTO, PAINTING)
    ]
    of_image, of_photo, _ = (x["relu2_1"] for x in features)
    variance = of_photo.var(axis=(0, 1)).mean()
    content = np.mean((of_image - of_photo) ** 2) / variance
    assert found["content"] == pytest.approx(content, rel=1e-3)
    for layer in LAYERS["style_layers"]:
        flat = [x[layer].reshape(-1, x[layer].shape[-1]) for x in (features[0], features[2])]
        gram = [x.T @ x / len(x) for x in flat]
        assert found["gram"][layer] == pytest.approx(
            np.mean((gram[0] - gram[1]) ** 2) / 4, rel=1e-3
        )
        centred = [np.cov(x.T, bias=True) for x in flat]
        assert found["centred"][layer] == pytest.approx(
            np.mean((centred[0] - centred[1]) ** 2) / 4, rel=1e-3
        )
        moments = sum(
            np.mean((f(flat[0]) - f(flat[1])) ** 2)
            for f in (lambda x: x.mean(0), lambda x: x.std(0))
        )
        assert found["moments"][layer] == pytest.approx(moments, rel=1e-2)


def test_the_photo_loses_nothing_and_the_painting_has_its_own_style(judge):
    assert judge(PHOTO, PHOTO, PAINTING)["content"] == 0
    style = judge(PAINTING, PHOTO, PAINTING)
    assert max(max(style[k].values()) for k in ("moments", "gram", "centred")) < 1e-9
    assert style["content"] > 0.5
