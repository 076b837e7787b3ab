"""Training the decoder, so that any painting's style is one pass."""

import numpy as np
from keras import ops

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.machine import compute_dtype
from tf_style.nn import adain
from tf_style.nn.color_transfer import ColorTransfer, color_channels
from tf_style.nn.losses import content_loss, covariance_loss, gram_loss, moments_loss
from tf_style.nn.statistics import (
    checkerboard_energy,
    covariance_matrix,
    gram_matrix,
    total_variation,
)
from tf_style.nn.vgg import channels_of, layers_up_to, style_of
from tf_style.training.trainer import Trainer

__all__ = ["AdaINTrainer"]


class AdaINTrainer(Trainer):
    """The decoder moves, so that what the encoder sees in its output is what AdaIN asked for.

        t     = AdaIN(f(content), f(style))          at `content_layer`; of the content in the
                                                     style's colours with `color_transfer`
        loss  = content_weight * content_loss(f(g(t)), t)
              + style_weight * sum{ moments_loss(f_l(g(t)), f_l(style)), over style_layers }
              + gram_weight * sum{ gram_loss(f_l(g(t)), f_l(style)), over style_layers }
              + covariance_weight * sum{ covariance_loss(f_l(g(t)), f_l(style)), over style_layers }
              + tv_weight * total_variation(g(t)) + checkerboard_weight * checkerboard_energy(g(t))
              + identity_weight * mean{ (g(t) - content)**2 }, of pairs whose style is the content

    Equations 11 to 13 of the paper; the last five terms are not the paper's and off by default.

    Reference: https://arxiv.org/abs/1703.06868
    """

    def build(self, layer_factors):
        c = self.config
        layers = tuple(dict.fromkeys((*c.style_layers, c.content_layer)))
        deepest = layers_up_to(c.encoder, list(layers))[-1]
        if deepest != c.content_layer:
            raise UserError(
                f"`style_layers` must not lie behind `content_layer`. Received: {deepest} "
                f"behind {c.content_layer}"
            )
        network = self.build_encoder(tuple(dict.fromkeys((*c.skip_layers, *layers))), layer_factors)
        self.stylizer = adain.AdaINStylizer(
            c.encoder, c.content_layer, c.padding, c.pooling, compute_dtype(c.precision),
            c.skip_layers, c.grain, c.color_transfer,
        )  # fmt: skip
        self.stylizer.encoder.set_weights(self.encoder.get_weights())
        self.decoder, self.layers = self.stylizer.decoder, (*c.skip_layers, c.content_layer)
        self.trained_variables = self.decoder.trainable_variables
        self.model = network | {
            "layer": c.content_layer,
            "padding": c.padding,
            "pooling": c.pooling,
            "skip_layers": list(c.skip_layers),
            "grain": c.grain,
            "color_transfer": c.color_transfer,
        }
        self.stylizer.packaged = network["encoder_weights"] == "packaged"
        self.stored = self.stylizer.saved_variables()

    def load(self, directory, model):
        """Skip layers that the other decoder has not begin with weights of zero."""
        new = [x for x in self.config.skip_layers if x not in model["skip_layers"]]
        shapes, added = self.shapes(), {}
        for layer in new:
            name = f"decoder/conv{layer.removeprefix('relu')}/kernel"
            height, width, channels, filters = shapes[name]
            added[name] = channels_of(layer)
            shapes[name] = (height, width, channels - added[name], filters)
        arrays = checkpoint.read_stylizer(directory, shapes)
        for name, channels in added.items():
            arrays[name] = np.pad(arrays[name], ((0, 0), (0, 0), (0, channels), (0, 0)))
        self.take(arrays)

    def losses(self, content, style, identity):
        """Weighted losses of a batch, each `(batch,)`, by name."""
        c = self.config
        batch = ops.shape(content)[0]
        given = content
        if c.color_transfer:
            colors = adain.statistics_of({}, color_channels(style))
            given = ColorTransfer()(content, colors, ops.ones(batch))
        both = self.encoder(ops.concatenate([self.grained(given), style]), training=True)
        of_content, of_style = (
            {layer: ops.stop_gradient(x[part]) for layer, x in both.items()}
            for part in (slice(batch), slice(batch, None))
        )
        target_style = style_of(of_style, c.style_layers)
        statistics = adain.statistics_of({layer: of_style[layer] for layer in self.layers})
        decoded = {layer: of_content[layer] for layer in self.layers}
        target = adain.restyled(decoded, statistics, ops.ones(batch))

        stylized = self.decoder(target, training=True)
        features = self.encoder(stylized, training=True)
        found_style = style_of(features, c.style_layers)
        layer = c.content_layer
        losses = {"content": c.content_weight * content_loss(features[layer], target[layer])}
        for layer in c.style_layers:
            moments = moments_loss(found_style[layer], target_style[layer], c.style_reduction)
            losses[f"style/{layer}"] = c.style_weight * moments
        for name, weight, statistics, loss in (
            ("gram", c.gram_weight, gram_matrix, gram_loss),
            ("covariance", c.covariance_weight, covariance_matrix, covariance_loss),
        ):
            if not weight:
                continue
            found, wanted = (style_of(x, c.style_layers, statistics) for x in (features, of_style))
            for layer in c.style_layers:
                losses[f"{name}/{layer}"] = weight * loss(found[layer], wanted[layer])
        if c.tv_weight:
            losses["tv"] = c.tv_weight * total_variation(stylized)
        if c.checkerboard_weight:
            losses["checkerboard"] = c.checkerboard_weight * checkerboard_energy(stylized)
        if c.identity_weight:
            # A content loss on the pixels themselves.
            losses["identity"] = c.identity_weight * identity * content_loss(stylized, content)
        return losses

    def pair_options(self):
        c = self.config
        return {"identity": c.identity_weight > 0, "augment_styles": c.augment_styles}

    def preview(self, contents, styles):
        ones = np.ones(len(contents), "float32")
        pictures = {"content": np.stack(contents), "style": np.stack(styles), "alpha": ones}
        return styles, self.stylize(pictures).numpy()
