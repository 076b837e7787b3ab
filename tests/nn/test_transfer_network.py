"""The transfer network: what its parameters do, sizes, borders."""

import keras
import numpy as np
import pytest

from tf_style.nn.statistics import channel_moments
from tf_style.nn.transfer_network import TransferNetwork

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return TransferNetwork((6, 8, 10), 2, (6, 4))


def parameters(network, batch, spread=0.3):
    neutral = np.concatenate([[1.0] * n + [0.0] * n for n in network.normalised])
    return np.float32(neutral + RNG.normal(0, spread, (batch, neutral.size)))


def call(network, content, parameters):
    return np.asarray(network({"content": content, "parameters": parameters}))


def test_counts_of_the_paper():
    network = TransferNetwork()
    assert network.count_params() == 1_674_432
    assert 2 * sum(network.normalised) == 3_206
    # Ghiasi et al.: no style in the contraction.
    plain = TransferNetwork(plain_contraction=True)
    assert 2 * sum(plain.normalised) == 2_758
    assert plain.count_params() == 1_674_432 + 32 + 64 + 128


def test_statistics_are_those_of_each_picture(network):
    content = np.float32(RNG.random((2, 24, 32, 3)))
    style = parameters(network, 2)
    both = call(network, content, style)
    for k in range(2):
        alone = call(network, content[k : k + 1], style[k : k + 1])
        np.testing.assert_allclose(both[k : k + 1], alone, atol=1e-5)


def test_the_last_normalisation_sets_the_colours(network):
    """Its scales and shifts are those of the output, before the sigmoid."""
    content, style = np.float32(RNG.random((1, 32, 32, 3))), parameters(network, 1)
    style[:, -6:] = (0.5, 0.6, 0.7, -0.3, 0.0, 0.4)
    stylized = call(network, content, style)
    mean, std = channel_moments(np.log(stylized / (1 - stylized)))
    np.testing.assert_allclose(mean[0], [-0.3, 0.0, 0.4], atol=1e-3)
    np.testing.assert_allclose(std[0], [0.5, 0.6, 0.7], rtol=1e-2)


def test_every_parameter_matters(network):
    content, style = np.float32(RNG.random((1, 24, 24, 3))), parameters(network, 1)
    before, start = call(network, content, style), 0
    for k, channels in enumerate(network.normalised):
        for first in (start, start + channels):
            changed = style.copy()
            changed[:, first : first + channels] += 0.5
            moved = np.abs(call(network, content, changed) - before).max()
            # What a block's end adds to all positions the next normalisation takes away again.
            taken_away = k in (4, 6) and first > start
            assert (moved < 1e-4) == taken_away
        start += 2 * channels
    assert start == style.shape[1]


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (31, 18), (64, 19)])
def test_the_output_has_the_contents_size(network, size):
    content = np.float32(RNG.random((1, *size, 3)))
    assert call(network, content, parameters(network, 1)).shape == content.shape


def test_a_residual_block_keeps_what_comes_in():
    """With a second normalisation of zeros it adds nothing: the peers that lost the skip fail."""
    keras.utils.set_random_seed(1)
    one, none = TransferNetwork((6, 8, 10), 1, (6, 4)), TransferNetwork((6, 8, 10), 0, (6, 4))
    for layer in none.layers:
        layer.set_weights(one.get_layer(layer.name).get_weights() if layer.weights else [])
    content, style = np.float32(RNG.random((1, 24, 24, 3))), parameters(none, 1)
    first, block = 2 * (6 + 8 + 10), np.zeros((1, 40), "float32")
    block[:, :10] = 1.0
    with_block = np.concatenate([style[:, :first], block, style[:, first:]], axis=1)
    np.testing.assert_allclose(
        call(one, content, with_block), call(none, content, style), atol=1e-5
    )
