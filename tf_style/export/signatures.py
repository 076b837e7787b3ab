"""What a server runs: a stylizer with named inputs and outputs, checks and bytes, in one graph."""

import re
import shutil
import tempfile
import weakref
from pathlib import Path

import keras
import tensorflow as tf

from tf_style.export.graph_images import checked, decode_picture, encode_picture
from tf_style.images.inputs import MIN_INPUT_SIDE, RANGE_SLACK
from tf_style.mixtures import readable

__all__ = ["ServedStylizer", "alpha_signature"]


def alpha_signature(name: str) -> str:
    """Return the signature with an alpha beside one of a model with a table of styles, which has
    none.

    Example:
        >>> alpha_signature("serving_default"), alpha_signature("stylize_bytes")
        ('stylize_with_alpha', 'stylize_bytes_with_alpha')
    """
    return f"{name.replace('serving_default', 'stylize')}_with_alpha"


class ServedStylizer:
    """A stylizer with its signatures, for batches of any size.

    Of a model that takes pictures for styles:

        serving_default        content, style, alpha             -> stylized
        encode_style           style                             -> statistics
        stylize_encoded        content, statistics, alpha        -> stylized
        stylize_bytes          content_bytes, style_bytes, alpha -> stylized_bytes
        encode_style_bytes     style_bytes                       -> statistics
        stylize_encoded_bytes  content_bytes, statistics, alpha  -> stylized_bytes

    Of a model with a table of styles `style_weights` (numbers, one for each style) stand for
    `style`, and `style_names` (`name`, or `name:weight,name:weight`) for `style_bytes`;
    `encode_style_names` for `encode_style_bytes`. These four have no alpha, and there are four more
    that have one: `stylize_with_alpha`, `stylize_encoded_with_alpha`, `stylize_bytes_with_alpha`
    and `stylize_encoded_bytes_with_alpha`.

    Images are float32 in [0, 1], bytes a JPEG or PNG in, a JPEG out; the first axis of everything
    is the batch. Pictures as bytes may differ in size: each runs alone, since padding would change
    its statistics.

    Args:
        stylizer: A model with the parts `encode_style` and `transfer`.
        max_bytes: Most bytes of a file.
        max_pixels: Most pixels of a picture.
        quality: Quality of the JPEGs.

    Attributes:
        module: What is saved with the signatures: the variables, and the styles' names as an asset.

    Example:
        >>> from tf_style.nn.conditional import ConditionalStylizer
        >>> stylizer = ConditionalStylizer(("wave", "night"), (8, 8, 8), 1, (8, 8))
        >>> stylize_bytes = ServedStylizer(stylizer).signatures()["stylize_bytes"]
        >>> photo = tf.io.encode_png(tf.zeros((20, 30, 1), tf.uint8))
        >>> mixture = tf.constant(["wave:0.6,night:0.4"])
        >>> out = stylize_bytes(content_bytes=photo[None], style_names=mixture)
        >>> tf.io.extract_jpeg_shape(out["stylized_bytes"][0]).numpy().tolist()
        [20, 30, 3]
    """

    def __init__(
        self,
        stylizer: keras.Model,
        max_bytes: int = 16 * 2**20,
        max_pixels: int = 2048 * 2048,
        quality: int = 95,
    ):
        encode_style, network = stylizer.encode_style, stylizer.transfer
        self.styles = tuple(map(readable, stylizer.styles))
        self.max_bytes, self.max_pixels, self.quality = max_bytes, max_pixels, quality
        # No more than the variables: of a Keras model, and of functions that are attributes, a
        # second copy of every graph would be stored.
        self.module = tf.Module()
        self.module.stored = [variable.value for variable in stylizer.variables]
        if self.styles:
            folder = tempfile.mkdtemp()
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            names = Path(folder, "styles.txt")
            names.write_text("\n".join(self.styles) + "\n", encoding="utf-8")
            self.module.names = tf.saved_model.Asset(str(names))

        text, image = tf.TensorSpec((None,), tf.string), tf.TensorSpec((None, None, None, 3))
        self.specs = {
            "content": image,
            "content_bytes": text,
            "style": image,
            "style_bytes": text,
            "style_weights": tf.TensorSpec((None, len(self.styles))),
            "style_names": text,
            "statistics": tf.TensorSpec(encode_style.output_shape),
            "alpha": tf.TensorSpec((None,)),
        }

        # Functions of their own, so that all signatures share one copy of each network.
        @tf.function(input_signature=[tf.TensorSpec(encode_style.input_shape)], autograph=False)
        def encode(style):
            return encode_style(style)

        given = [self.specs[name] for name in ("content", "statistics", "alpha")]

        @tf.function(input_signature=given, autograph=False)
        def transfer(content, statistics, alpha):
            stylized = network({"content": content, "statistics": statistics, "alpha": alpha})
            finite = tf.math.is_finite(stylized)
            return checked(stylized, finite, "The network gave NaN or infinity, of:", content[0, 0])

        self.encode, self.transfer = encode, transfer

    def signatures(self) -> dict:
        """Return every signature by its name, a traced function with keyword arguments."""
        plain, simple = (
            ("style_weights", "style_names") if self.styles else ("style", "style_bytes")
        )
        sources = {
            "serving_default": ("content", plain),
            "stylize_encoded": ("content", "statistics"),
            "stylize_bytes": ("content_bytes", simple),
            "stylize_encoded_bytes": ("content_bytes", "statistics"),
        }
        found = {"encode_style": self._encoding(plain), f"encode_{simple}": self._encoding(simple)}
        for name, pair in sources.items():
            with_alpha = alpha_signature(name) if self.styles else name
            found[with_alpha] = self._stylizing(*pair, "alpha")
            if self.styles:
                found[name] = self._stylizing(*pair)
        return found

    def _trace(self, function, names):
        specs = {
            name: tf.TensorSpec(self.specs[name].shape, self.specs[name].dtype, name)
            for name in names
        }
        return tf.function(function, autograph=False).get_concrete_function(**specs)

    def _encoding(self, source):
        def encode(**given):
            return {"statistics": self._statistics(source, given[source])}

        return self._trace(encode, (source,))

    def _stylizing(self, source, style, *alpha):
        def stylize(**given):
            content = given[source]
            rows = tf.shape(content)[:1]
            alpha = _alpha(given["alpha"]) if "alpha" in given else tf.ones(rows)
            statistics = self._statistics(style, given[style])
            counts = tf.stack([rows[0], tf.shape(statistics)[0], tf.shape(alpha)[0]])
            alike = tf.equal(counts, rows)
            sentence = f"`{source}`, `{style}` and alpha must be equally many:"
            content = checked(content, alike, sentence, counts)
            if source == "content":
                return {
                    "stylized": self.transfer(self._image(content, "content"), statistics, alpha)
                }
            return {"stylized_bytes": self._each(content, statistics, alpha)}

        return self._trace(stylize, (source, style, *alpha))

    def _each(self, content, statistics, alpha):
        """Each picture alone, at its own size, one at a time: they share the memory."""

        def stylize(row):
            data, statistics, alpha = row
            image = self._decode(data, "content_bytes")
            stylized = self.transfer(image[None], statistics[None], alpha[None])[0]
            return encode_picture(stylized, self.quality)

        rows = (content, statistics, alpha)
        return tf.map_fn(stylize, rows, fn_output_signature=tf.string, parallel_iterations=1)

    def _statistics(self, source, style):
        """Any source of a style to its statistics."""
        if source == "style":
            return self.encode(self._image(style, "style"))
        if source == "style_weights":
            return self.encode(_weights(style, "style_weights"))
        spec = tf.TensorSpec(self.specs["statistics"].shape[1:])
        if source == "style_bytes":
            return tf.map_fn(
                lambda data: self.encode(self._decode(data, "style_bytes")[None])[0],
                style, fn_output_signature=spec, parallel_iterations=1,
            )  # fmt: skip
        if source == "style_names":
            weights = tf.TensorSpec((len(self.styles),))
            return self.encode(tf.map_fn(self._mixture, style, fn_output_signature=weights))
        finite = tf.math.is_finite(style)
        return checked(style, finite, "`statistics` must be finite; shape:", tf.shape(style))

    def _decode(self, data, what):
        return decode_picture(data, what, self.max_bytes, self.max_pixels)

    def _image(self, image, what):
        """Images as they came, if they are any."""
        shape = tf.shape(image)
        sides, pixels = shape[1:3], tf.reduce_prod(tf.cast(shape[1:3], tf.int64))
        fits = (tf.reduce_min(sides) >= MIN_INPUT_SIDE) & (pixels <= self.max_pixels)
        sentence = f"`{what}` must be {MIN_INPUT_SIDE} px or more a side and {self.max_pixels} "
        image = checked(image, fits, sentence + "pixels at most; height and width:", sides)
        # Written so that NaN fails too.
        usable = (image >= -RANGE_SLACK) & (image <= 1 + RANGE_SLACK)
        least, most = tf.reduce_min(image), tf.reduce_max(image)
        sentence = f"`{what}` must be in [0, 1]. Least and greatest value:"
        return checked(image, usable, sentence, tf.stack([least, most]))

    def _mixture(self, text):
        """`name:weight,name:weight` to a weight for each style."""
        names = list(self.styles)
        # One that holds what separates them is a number meanwhile; longer ones first.
        for i in sorted(range(len(names)), key=lambda i: -len(names[i])):
            if "," in names[i] or ":" in names[i]:
                within = rf"(^|,)\s*{re.escape(names[i])}\s*(,|:|$)"
                names[i] = f"\x1f{i}"
                text = tf.strings.regex_replace(text, within, rf"\1{names[i]}\2")
        parts = tf.strings.strip(tf.strings.split(text, ","))
        given = tf.strings.regex_replace(parts, " *:[^:]*$", "")
        numbers = tf.where(
            tf.equal(given, parts), "1", tf.strings.regex_replace(parts, "^.*: *", "")
        )
        found = tf.equal(given[:, None], tf.constant(names)[None])
        known = tf.reduce_any(found, axis=1)
        sentence = f"`style_names` must be of {', '.join(self.styles)}, as name or name:weight. "
        numbers = checked(numbers, known, sentence + "Received:", text)
        weights = tf.strings.to_number(numbers)
        return _weights(
            tf.reduce_sum(tf.cast(found, tf.float32) * weights[:, None], 0), "style_names"
        )


def _weights(weights, what):
    """Weights scaled to the sum of 1, if they are any."""
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)
    usable = tf.reduce_all(weights >= 0) & tf.reduce_all((total > 0) & (total < float("inf")))
    return checked(weights, usable, f"`{what}` must be 0 or more, not all 0:", weights) / total


def _alpha(alpha):
    usable = (alpha >= 0) & (alpha <= 1)
    return checked(alpha, usable, "`alpha` must be between 0 and 1. Received:", alpha)
