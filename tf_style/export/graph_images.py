"""Pictures as bytes to images and back inside a graph, where no Python can check them."""

import tensorflow as tf

from tf_style.images.inputs import MIN_INPUT_SIDE

__all__ = ["checked", "decode_picture", "encode_picture"]

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def decode_picture(data: tf.Tensor, what: str, max_bytes: int, max_pixels: int) -> tf.Tensor:
    """Decode a JPEG or PNG to an image; its size is checked before any pixel is decoded.

    Grey becomes RGB, 16 bits keep their precision, transparency is laid over white. The EXIF
    orientation is not applied: a client turns its photos before it sends them.

    Args:
        data: Scalar string, the file.
        what: Name of the input, for the error.
        max_bytes: Most bytes of the file.
        max_pixels: Width times height.

    Returns:
        Image `(height, width, 3)`, float32 in [0, 1].

    Raises:
        tf.errors.InvalidArgumentError: Not a whole JPEG or PNG, too large, or under 16 px a side.

    Example:
        >>> data = tf.io.encode_png(tf.zeros((20, 30, 1), tf.uint8))
        >>> decode_picture(data, "content_bytes", 10**6, 10**6).shape
        TensorShape([20, 30, 3])
    """
    size = tf.strings.length(data)
    data = checked(data, size > 0, f"`{what}` is empty. Bytes:", size)
    data = checked(data, size <= max_bytes, f"`{what}` has over {max_bytes} bytes:", size)
    is_jpeg = tf.equal(tf.strings.substr(data, 0, len(JPEG)), JPEG)
    # A PNG's first chunk, of width and height, ends at byte 33.
    is_png = tf.equal(tf.strings.substr(data, 0, len(PNG)), PNG) & (size >= 33)
    known = is_jpeg | is_png
    data = checked(data, known, f"`{what}` is neither a JPEG nor a PNG. Its bytes:", size)

    height_width = tf.cond(
        is_jpeg, lambda: tf.io.extract_jpeg_shape(data, tf.int32)[:2], lambda: _png_shape(data)
    )
    pixels = tf.reduce_prod(tf.cast(height_width, tf.int64))
    fits = (tf.reduce_min(height_width) >= MIN_INPUT_SIDE) & (pixels <= max_pixels)
    sentence = f"`{what}` must be {MIN_INPUT_SIDE} px or more a side and {max_pixels} pixels at "
    data = checked(data, fits, sentence + "most; height and width:", height_width)

    def from_jpeg():
        # As Pillow decodes: TensorFlow's default is faster and coarser.
        image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        return _floats(image, 255.0)

    def from_png():
        levels = tf.io.decode_png(data, 4, tf.uint16)
        image = _floats(levels, 65535.0)
        color, opacity = image[..., :3], image[..., 3:]
        # Where there is no opacity TensorFlow writes 2**depth - 1 of 255, also if depth, the
        # header's byte 24, is below 8.
        depth = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 24, 1), tf.uint8), tf.float32)[0]
        filled = tf.reduce_all(tf.abs(opacity * 255 - (2**depth - 1)) < 0.5)
        opacity = tf.where(filled, 1.0, opacity)
        return color * opacity + (1 - opacity)

    image = tf.cond(is_jpeg, from_jpeg, from_png)
    return tf.ensure_shape(image, (None, None, 3))


def _floats(levels, top):
    # Not by `/`, which a graph's optimiser turns into a product with 1 / top: another float for
    # half of all levels, and now and then another level of the picture that is made of them.
    return tf.math.divide_no_nan(tf.cast(levels, tf.float32), top)


def _png_shape(data):
    """Height and width from a PNG's header: big-endian at bytes 20 and 16."""
    header = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.uint8, fixed_length=8)
    header = tf.cast(tf.reshape(header, (2, 4)), tf.int64)
    sides = tf.reduce_sum(header * tf.constant([2**24, 2**16, 2**8, 1], tf.int64), axis=1)
    return tf.cast(tf.minimum(sides, 2**31 - 1), tf.int32)[::-1]


def encode_picture(image: tf.Tensor, quality: int = 95) -> tf.Tensor:
    """Encode an image in [0, 1] as a JPEG with its colours at full size.

    Example:
        >>> encode_picture(tf.zeros((16, 16, 3))).numpy()[:3]
        b'\\xff\\xd8\\xff'
    """
    levels = tf.cast(tf.round(tf.clip_by_value(image, 0, 1) * 255), tf.uint8)
    return tf.io.encode_jpeg(levels, format="rgb", quality=quality, chroma_downsampling=False)


def checked(tensor: tf.Tensor, condition: tf.Tensor, sentence: str, value: tf.Tensor) -> tf.Tensor:
    """Return the tensor once a condition holds: what is computed from it waits for that.

    Args:
        tensor: What is given back.
        condition: A scalar, or all must be true.
        sentence: What is wrong if it does not hold.
        value: What was received, added to the sentence.

    Raises:
        tf.errors.InvalidArgumentError: It does not hold.

    Example:
        >>> checked(tf.constant(3), tf.constant(True), "Must be true:", 3).numpy()
        np.int32(3)
    """
    condition = tf.reduce_all(condition)
    with tf.control_dependencies([tf.debugging.Assert(condition, [sentence, value], 8)]):
        return tf.identity(tensor)
