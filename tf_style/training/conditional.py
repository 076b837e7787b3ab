"""Training one transfer network for many styles: from a table, or read by a predictor."""

import contextlib
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.images.inputs import input_image
from tf_style.images.listing import list_images
from tf_style.images.outputs import written_by
from tf_style.images.reading import read_image
from tf_style.images.resizing import fit_shorter, fit_square
from tf_style.machine import compute_dtype
from tf_style.mixtures import readable
from tf_style.nn.conditional import ConditionalStylizer
from tf_style.nn.losses import content_loss
from tf_style.nn.predicted import PredictedStylizer, load_trunk
from tf_style.nn.statistics import total_variation
from tf_style.nn.style_losses import layers_that_count, loss_weights, style_loss
from tf_style.training.trainer import Trainer

__all__ = ["ConditionalTrainer", "PredictedTrainer", "style_names"]


class _TransferTrainer(Trainer):
    """What both have in common: the transfer network moves, and what it costs.

    y    = network(x, scales and shifts of the style)
    loss = sum{ weight_l * content_loss(f_l(y), f_l(x)), over content layers }
         + sum{ weight_lk * distance_k(s_k(f_l(y)), target_lk), over style layers and losses }
         + tv_weight * total_variation(y)
    """

    # The loss network is no part of the stylizer.
    free = (*Trainer.free, "encoder", "encoder_weights", "encoder_sha256", "factors")

    def build_losses(self, layer_factors, paintings):
        """Make the encoder, weights and style losses; return what a config says of them."""
        c = self.config
        network = self.build_encoder(layers_that_count(c), layer_factors)
        self.weights = loss_weights(c, network["factors"])
        features = self.encoder(paintings[0][None])
        # The Gaussian kernel's bandwidth is the first painting's.
        self.style_losses = {
            (layer, name): style_loss(name, features[layer], c.seed)
            for layer, name in self.weights.style
        }
        return network | {
            "contract": list(c.contract),
            "blocks": c.blocks,
            "expand": list(c.expand),
            "grain": c.grain,
        }

    def statistics(self, features):
        """Return the style of every picture of a batch: {(layer, style loss): statistics}."""
        return {
            (layer, name): loss.statistics(features[layer])
            for (layer, name), loss in self.style_losses.items()
        }

    def weigh(self, content, stylized, target):
        """Weighted losses, each `(batch,)`, by name."""
        features = self.encoder(stylized, training=True)
        of_content = self.encoder(content, training=True) if self.weights.content else {}
        losses = {
            f"content/{layer}": weight * content_loss(features[layer], of_content[layer])
            for layer, weight in self.weights.content.items()
        }
        found = self.statistics(features)
        several = len({name for _, name in self.weights.style}) > 1
        for (layer, name), weight in self.weights.style.items():
            distance = self.style_losses[layer, name].distance
            key = f"style/{layer}/{name}" if several else f"style/{layer}"
            losses[key] = weight * distance(found[layer, name], target[layer, name])
        if self.weights.tv:
            losses["tv"] = self.weights.tv * total_variation(stylized)
        return losses


class ConditionalTrainer(_TransferTrainer):
    """A scale and shift of every normalisation for each style of a table.

    The statistics of the paintings are taken once. With `add_style` the table gets one more row,
    from the mean of the others, and nothing but that row moves; network and grain are the model's.

    Reference: https://arxiv.org/abs/1610.07629
    """

    by_index = True

    def build(self, layer_factors):
        c = self.config
        path = c.add_style or c.style_path
        self.names = style_names(path, written_by(c))
        images = [
            input_image(fit_shorter(read_image(file), c.style_size), f"`{file}`")
            for file in list_images(path, written_by(c))
        ]
        network = self.build_losses(layer_factors, images)
        targets = [self.statistics(self.encoder(image[None])) for image in images]
        self.targets = keras.tree.map_structure(lambda *x: tf.concat(x, axis=0), *targets)
        self.thumbnails = [fit_square(image, c.crop_size) for image in images]
        old, directory = {"model": {"styles": []}}, None
        if c.add_style:
            directory = checkpoint.extended(c.checkpoint, c.start_from)
            old = checkpoint.read_config(directory)
        known = old["model"].get("styles", ())
        if c.add_style and (old["method"] != c.method or self.names[0] in known):
            reason = (
                f"has the style {self.names[0]!r} already" if known else "has no table of styles"
            )
            raise UserError(f"The model in {directory} {reason}.")
        self.model = network | {"styles": [*known, *self.names]}
        if c.add_style:
            # The network is there already, whatever the flags say of it.
            shape = "contract", "blocks", "expand", "grain"
            self.model |= {name: old["model"][name] for name in shape}
        self.stylizer = ConditionalStylizer.from_checkpoint(self.model, compute_dtype(c.precision))
        self.stored = self.stylizer.saved_variables()
        if c.add_style:
            self.load(directory, old["model"])
            self.trained_variables = [self.stored[f"styles/{self.names[0]}"]]
        else:
            self.trained_variables = self.stylizer.trainable_variables
        self.first = len(known)

    def load(self, directory, model):
        """The network and the styles of the same names; any other begins as the mean of all."""
        rows = [f"styles/{name}" for name in model["styles"]]
        shapes = self.shapes()
        row = shapes[f"styles/{self.names[0]}"]
        shapes = {name: x for name, x in shapes.items() if not name.startswith("styles/")}
        arrays = checkpoint.read_stylizer(directory, shapes | dict.fromkeys(rows, row))
        mean = np.mean([arrays[name] for name in rows], axis=0)
        for name, variable in self.stored.items():
            variable.assign(arrays.get(name, mean))

    def losses(self, content, style, identity):
        weights = ops.one_hot(style, len(self.names))
        target = keras.tree.map_structure(lambda x: tf.tensordot(weights, x, 1), self.targets)
        picks = ops.one_hot(style + self.first, len(self.stylizer.styles))
        given = {"content": self.grained(content), "parameters": self.stylizer.encode_style(picks)}
        stylized = self.stylizer.network(given, training=True)
        return self.weigh(content, stylized, target)

    def pair_options(self):
        return {"by_index": True}

    def preview(self, contents, styles):
        which = [k % len(self.names) for k in range(len(contents))]
        picks = np.eye(len(self.stylizer.styles), dtype="float32")[np.array(which) + self.first]
        stylized = self.stylize(
            {
                "content": np.stack(contents),
                "style_weights": picks,
                "alpha": np.ones(len(picks), "float32"),
            }
        )
        return [self.thumbnails[k] for k in which], stylized.numpy()


class PredictedTrainer(_TransferTrainer):
    """Scales and shifts of any style, by a predictor that is trained along.

    Reference: https://arxiv.org/abs/1705.06830
    """

    def build(self, layer_factors):
        c = self.config
        network = self.build_losses(layer_factors, [fit_square(_first(c.style_path), c.style_size)])
        self.model = network | {"backbone": c.backbone, "plain_contraction": c.plain_contraction}
        self.stylizer = PredictedStylizer.from_checkpoint(self.model, compute_dtype(c.precision))
        if c.backbone == "mobilenet_v2" and layer_factors is None and not c.start_from:
            load_trunk(self.stylizer.predictor, c.backbone_weights)
        self.stored = self.stylizer.saved_variables()
        self.trained_variables = self.stylizer.trainable_variables

    def losses(self, content, style, identity):
        target = self.statistics(self.encoder(style, training=True))
        target = keras.tree.map_structure(ops.stop_gradient, target)
        parameters = self.stylizer.heads(self.stylizer.encode_style(style, training=True))
        given = {"content": self.grained(content), "parameters": parameters}
        stylized = self.stylizer.network(given, training=True)
        return self.weigh(content, stylized, target)

    def pair_options(self):
        c = self.config
        return {"style_crop_size": c.style_size, "augment_styles": not c.plain_styles}

    def preview(self, contents, styles):
        ones = np.ones(len(contents), "float32")
        pictures = {"content": np.stack(contents), "style": np.stack(styles), "alpha": ones}
        return styles, self.stylize(pictures).numpy()


def _first(path: str) -> np.ndarray:
    """The first painting that can be read: the scan, which names those that cannot, comes later."""
    *files, last = list_images(path)
    for file in files:
        with contextlib.suppress(UserError):
            return read_image(file)
    return read_image(last)


def style_names(path: str, written: Iterable[str] = ()) -> list[str]:
    """Names of the styles that a file, folder or glob of paintings makes: their files' stems.

    Args:
        path: Path of the paintings.
        written: The argument of `list_images`.

    Raises:
        UserError: Two files of one name.
    """
    files = list_images(path, written)
    names = [readable(file.stem) for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"Two paintings under {path} are named {twice!r}: rename one.")
    return names
