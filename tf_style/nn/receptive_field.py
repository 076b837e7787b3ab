"""How far a network sees."""

from collections.abc import Iterable

import keras

__all__ = ["receptive_radius"]


def receptive_radius(layers: Iterable[keras.layers.Layer]) -> int:
    """Receptive-field radius of a stack of layers, in pixels of its output.

    What lies beyond a window's edge spoils the output that far inside the window:

        convolution of kernel k, stride s   d -> ceil((d + (k - 1) / 2) / s)
        pooling by s                        d -> ceil(d / s)
        upsampling by s                     d -> d * s

    with d = 0 at the input. The long way through residual branches counts.

    Args:
        layers: The layers in order: `model.layers` of a network whose windows begin at multiples
            of its stride. Layers that look at one position alone, or at all, do not count.

    Example:
        >>> from tf_style.nn.decoder import Decoder
        >>> from tf_style.nn.vgg import VGGEncoder
        >>> encoder, decoder = VGGEncoder("vgg16"), Decoder("vgg16")
        >>> receptive_radius(encoder.layers), receptive_radius(decoder.layers)
        (4, 26)
    """
    depth = 0
    for layer in layers:
        if isinstance(layer, keras.layers.Conv2D):
            depth = -(-(depth + layer.kernel_size[0] // 2) // layer.strides[0])
        elif isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
            depth = -(-depth // layer.pool_size[0])
        elif isinstance(layer, keras.layers.UpSampling2D):
            depth *= layer.size[0]
    return depth
