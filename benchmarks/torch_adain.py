"""AdaIN in PyTorch, written from the published architecture: what ours is compared with.

As the usual ports run it: float32, NCHW, `torch.no_grad`, one picture after the other and its style
encoded anew; trained by Adam on squared errors of features and of their moments. The contender in
bfloat16 is what PyTorch does on the same processor if it is asked: weights of that type, channels
last; trained under autocast.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmarks.measure import Job
from benchmarks.networks import DECODER, ENCODER

# Means of VGG's training pixels, 0 to 255, and what AdaIN adds to a variance.
MEAN_BGR = (103.939, 116.779, 123.68)
EPSILON = 1e-5


def convolution(weights: dict, name: str) -> list[nn.Module]:
    """A line of reflection all round, and a convolution with a checkpoint's weights."""
    kernel = torch.from_numpy(np.ascontiguousarray(weights[f"{name}/kernel"].transpose(3, 2, 0, 1)))
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3)
    layer.weight = nn.Parameter(kernel)
    layer.bias = nn.Parameter(torch.from_numpy(weights[f"{name}/bias"]))
    return [nn.ReflectionPad2d(1), layer]


class Encoder(nn.Module):
    """VGG19: image, RGB in [0, 1] -> features of relu1_1, relu2_1, relu3_1, relu4_1."""

    def __init__(self, weights: dict):
        super().__init__()
        # As in the ports a 1x1 convolution turns RGB in [0, 1] into what VGG was trained on.
        first = nn.Conv2d(3, 3, 1)
        first.weight = nn.Parameter(255 * torch.eye(3).flip(0)[:, :, None, None])
        first.bias = nn.Parameter(-torch.tensor(MEAN_BGR))
        slices, layers, stride = [], [first], 1
        for c in ENCODER:
            if c.stride > stride:
                layers, stride = [*layers, nn.MaxPool2d(2)], c.stride
            layers += [*convolution(weights, c.name), nn.ReLU()]
            if c.name.endswith("conv1"):
                slices, layers = [*slices, nn.Sequential(*layers)], []
        self.slices = nn.ModuleList(slices)
        self.requires_grad_(False)

    def forward(self, image):
        features = [image]
        for part in self.slices:
            features.append(part(features[-1]))
        return features[1:]


class Decoder(nn.Sequential):
    """The mirror: features of relu4_1 -> image."""

    def __init__(self, weights: dict):
        layers = []
        for c, behind in zip(DECODER, (*DECODER[1:], None), strict=True):
            layers += convolution(weights, c.name)
            if behind:
                layers.append(nn.ReLU())
                if behind.stride < c.stride:
                    layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        super().__init__(*layers)


def moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of every channel."""
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def adain(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """The content's features with the style's moments."""
    (mean, std), (style_mean, style_std) = moments(content), moments(style)
    return (content - mean) / std * style_std + style_mean


class Stylizer(nn.Module):
    """Encoder, AdaIN, decoder: content, style -> stylised, each `(1, 3, height, width)`."""

    def __init__(self, weights: dict):
        super().__init__()
        self.encoder, self.decoder = Encoder(weights), Decoder(weights)

    def forward(self, content, style):
        return self.decoder(adain(self.encoder(content)[-1], self.encoder(style)[-1]))


def losses(stylizer: Stylizer, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """The content loss and 10 times the style loss of a batch, as the ports weigh them."""
    style_features = stylizer.encoder(style)
    target = adain(stylizer.encoder(content)[-1], style_features[-1])
    found = stylizer.encoder(stylizer.decoder(target))
    loss = functional.mse_loss(found[-1], target)
    for one, other in zip(found, style_features, strict=True):
        for a, b in zip(moments(one), moments(other), strict=True):
            loss = loss + 10 * functional.mse_loss(a, b)
    return loss


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """Pictures of uint8, channels last, as float32 in [0, 1], channels first."""
    image = image if image.ndim == 4 else image[None]
    return torch.from_numpy(image).permute(0, 3, 1, 2).contiguous().float() / 255


def as_image(tensor: torch.Tensor) -> np.ndarray:
    """The other way round, of one picture."""
    image = tensor[0].float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return image.permute(1, 2, 0).numpy()


def read(path: Path) -> np.ndarray:
    """A picture's file as uint8."""
    return np.asarray(Image.open(path).convert("RGB")).copy()


def stylizer_of(job: Job, dtype: torch.dtype):
    """The nets as a function of two tensors of float32."""
    stylizer = Stylizer(job.weights()).eval()
    if dtype == torch.float32:
        return stylizer
    stylizer.to(dtype, memory_format=torch.channels_last)

    def stylize(content, style):
        given = (x.to(dtype, memory_format=torch.channels_last) for x in (content, style))
        return stylizer(*given)

    return stylize


@torch.no_grad()
def pair(job: Job, dtype: torch.dtype = torch.float32) -> Iterator:
    """A photo and a painting, from arrays to an array."""
    stylize = stylizer_of(job, dtype)
    content, style = read(job.photos[0]), read(job.style)
    while True:
        yield
        yield as_image(stylize(as_tensor(content), as_tensor(style)))


@torch.no_grad()
def photos(job: Job, dtype: torch.dtype = torch.float32) -> Iterator:
    """A folder of photos in one painting's style, from files to files, one after the other."""
    stylize = stylizer_of(job, dtype)
    out = job.out_folder()
    while True:
        yield
        for path in job.photos:
            image = as_image(stylize(as_tensor(read(path)), as_tensor(read(job.style))))
            Image.fromarray(image).save(out / path.name, quality=95, subsampling=0)
        yield out / job.photos[-1].name


def training(job: Job, dtype: torch.dtype = torch.float32) -> Iterator:
    """A step of Adam on the decoder; the loss is what comes of it."""
    stylizer = Stylizer(job.weights())
    optimizer = torch.optim.Adam(stylizer.decoder.parameters(), lr=1e-4)
    content, style = (as_tensor(batch) for batch in job.batches())
    mixed = dtype != torch.float32
    if mixed:
        stylizer.to(memory_format=torch.channels_last)
        content, style = (x.to(memory_format=torch.channels_last) for x in (content, style))
    while True:
        yield
        with torch.autocast("cpu", dtype, enabled=mixed):
            loss = losses(stylizer, content, style)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def product(job: Job, dtype: torch.dtype = torch.float32) -> Iterator:
    """A product of two square matrices, whose corner is read."""
    matrix = torch.rand(job.size, job.size).to(dtype)
    while True:
        yield
        yield float((matrix @ matrix)[0, 0])


RUNS = {
    f"{name} {dtype}": functools.partial(run, dtype=getattr(torch, dtype))
    for name, run in {
        "pair": pair,
        "photos": photos,
        "training": training,
        "product": product,
    }.items()
    for dtype in ("float32", "bfloat16")
}
