"""How far a network sees."""

import numpy as np
from conftest import picture

from tf_style.nn.adain import AdaINStylizer
from tf_style.nn.receptive_field import receptive_radius
from tf_style.nn.transfer_network import TransferNetwork


def spoilt(network, image):
    """Rows of the output that a window's left edge changes, half the picture being left out."""
    whole, half = (
        np.asarray(network(x))
        for x in (image, np.ascontiguousarray(image[:, :, image.shape[2] // 2 :]))
    )
    whole = whole[:, :, whole.shape[2] // 2 :]
    # Not 0: some processors round a convolution by the picture's size.
    changed = (np.abs(whole - half) / np.abs(whole)).max(axis=(0, 1, 3)) > 1e-6
    return int(changed.nonzero()[0].max()) + 1


def test_the_receptive_radius_is_what_a_window_spoils():
    # All positive and averaged, so that no change is lost on its way.
    stylizer, rng = AdaINStylizer("vgg16", pooling="avg"), np.random.default_rng(0)
    for part in (stylizer.encoder, stylizer.decoder):
        part.set_weights([rng.uniform(0, 0.02, w.shape) for w in part.get_weights()])
    encoder, decoder = stylizer.encoder, stylizer.decoder
    bright = 1 + picture(64, 256)[None]
    assert spoilt(lambda x: encoder(x)["relu4_1"], bright) == 4
    assert receptive_radius(encoder.layers) == 4
    features = rng.random((1, 4, 32, 512), "float32")
    assert (
        spoilt(lambda x: decoder({"relu4_1": x}), features)
        == receptive_radius(decoder.layers)
        == 26
    )


def test_the_receptive_radius_of_a_network_with_strides():
    # 4, (4 + 1) / 2, (3 + 1) / 2, 10 more, times 2 and 1, times 2 and 1, 4.
    assert receptive_radius(TransferNetwork().layers) == 55
