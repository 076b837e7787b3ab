import numpy as np
import pytest
from conftest import picture

from tf_style.errors import UserError
from tf_style.images.writing import write_image
from tf_style.inference.config import StylizeConfig
from tf_style.inference.style_transfer import load
from tf_style.inference.styles import Styles
from tf_style.inference.wanted import Wanted


def styles_of(tmp_path, shallow, mixtures, unfit=(), **options):
    sources = {}
    for seed, name in enumerate(("wave", "night")):
        sources[name] = tmp_path / f"{name}.png"
        write_image(sources[name], picture(20, 24, seed))
    wanted = Wanted(sources, mixtures, 0, {})
    unfit = {sources[name]: UserError("too large") for name in unfit}
    config = StylizeConfig(style_size=0, **options)
    return Styles(config, load(shallow, "float32"), wanted, unfit)


def test_a_mixture_is_the_mean_of_its_statistics(tmp_path, shallow):
    mixture = {"wave": 0.25, "night": 0.75}
    styles = styles_of(tmp_path, shallow, {"blend": [mixture]})
    assert list(styles.encode_blends()) == ["the style is 25% wave.png, 75% night.png"]
    wave, night = map(styles.encoded, mixture)
    assert styles.encoded("wave") is wave  # Encoded once.
    found = styles.statistics(mixture, picture(18, 18))
    np.testing.assert_allclose(found, 0.25 * wave + 0.75 * night, rtol=1e-5)


def test_a_painting_that_does_not_fit_is_a_fault_of_the_blend(tmp_path, shallow):
    styles = styles_of(tmp_path, shallow, {"blend": [{"wave": 0.5, "night": 0.5}]}, ["night"])
    with pytest.raises(UserError, match="A blend needs all its styles: too large"):
        list(styles.encode_blends())


def test_a_source_is_a_painting_that_a_label_names(tmp_path, shallow):
    styles = styles_of(tmp_path, shallow, {})
    assert styles.source("wave") == tmp_path / "wave.png" and styles.source("blend") is None
