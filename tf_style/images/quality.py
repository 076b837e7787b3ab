"""How near two pictures are, and what networks leave in theirs: frames and checkerboards."""

import numpy as np

__all__ = ["border_ratio", "detail", "deviation", "nyquist_ratio", "psnr"]

# Lines at each side that a frame is looked for in.
BORDER = 8

# Half a level of 8 bits in the root: less energy is none.
FLOOR = (0.5 / 255) ** 2


def psnr(image: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of images in [0, 1], in dB, at most 100.

        PSNR = -10 * log10( mean{ (image - other)**2 } )

    Example:
        >>> round(psnr(np.zeros((2, 2, 3)), np.full((2, 2, 3), 0.1)), 2)
        20.0
    """
    return float(-10 * np.log10(np.mean(np.square(image - other)) + 1e-10))


def detail(image: np.ndarray) -> np.ndarray:
    """Squared differences of neighbours, down and across: `(height - 1, width - 1)`.

    Example:
        >>> float(detail(np.ones((4, 5, 3))).max())
        0.0
    """
    down, across = np.diff(image, axis=0) ** 2, np.diff(image, axis=1) ** 2
    return (down[:, 1:] + across[1:]).mean(-1)


def deviation(image: np.ndarray) -> np.ndarray:
    """Squared distances from the mean colour of the middle: `(height, width)`.

    Example:
        >>> float(deviation(np.ones((20, 20, 3))).max())
        0.0
    """
    middle = image[BORDER:-BORDER, BORDER:-BORDER]
    return ((image - middle.mean((0, 1))) ** 2).mean(-1)


def border_ratio(energy: np.ndarray) -> float:
    """Return what the outer 8 lines have of an energy per pixel, against the middle: a frame has
    more.

    Args:
        energy: `(height, width)`, such as `detail` or `deviation`; both sides 20 px or more.

    Example:
        >>> border_ratio(np.ones((40, 40)))
        1.0
    """
    middle = np.zeros(energy.shape, bool)
    middle[BORDER:-BORDER, BORDER:-BORDER] = True
    return float((energy[~middle].mean() + FLOOR) / (energy[middle].mean() + FLOOR))


def nyquist_ratio(image: np.ndarray) -> float:
    """Power at the Nyquist frequency, down or across, against that at half of it.

    A checkerboard, as transposed convolutions leave it, stands out there; photos and paintings have
    less at high frequencies than at lower ones.

    Args:
        image: `(height, width, channels)`; both sides 20 px or more.

    Example:
        >>> board = np.indices((32, 32)).sum(0)[..., None] % 2
        >>> nyquist_ratio(board) > 100
        True
    """
    height, width, _ = image.shape
    window = np.multiply.outer(np.hanning(height), np.hanning(width))
    image = (image - image.mean((0, 1))) * window[..., None]
    power = (np.abs(np.fft.fft2(image, axes=(0, 1))) ** 2).sum(-1)
    down, across = (np.abs(np.fft.fftfreq(side)) for side in (height, width))
    frequency = np.maximum.outer(down, across)
    middle = power[(frequency > 0.22) & (frequency < 0.28)].mean()
    return float((power[frequency > 0.47].mean() + FLOOR) / (middle + FLOOR))
