"""Colours of arrays: keeping the photo's."""

import numpy as np

__all__ = ["LUMA", "match_color", "preserve_luma"]

# Rec. 601 luma of R'G'B'.
LUMA = (0.299, 0.587, 0.114)


def preserve_luma(stylized: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return the stylised picture's brightness with the content's colours.

        y = content + luma(stylized) - luma(content), clipped to [0, 1]

    Adding one number to R, G and B moves the luma and leaves both chroma differences alone.

    Args:
        stylized: Image `(height, width, 3)`, float in [0, 1].
        content: Image of the same shape.

    Returns:
        Image of the same shape, float32 in [0, 1].

    Example:
        >>> gray = np.full((1, 1, 3), 0.5, "float32")
        >>> red = np.float32([[[0.8, 0.2, 0.2]]])
        >>> print(preserve_luma(gray, red).round(3))
        [[[0.921 0.321 0.321]]]

    Reference: https://arxiv.org/abs/1606.05897, section 3.1.
    """
    luma = np.asarray(LUMA, "float32")
    change = (stylized - content) @ luma
    return np.clip(content + change[..., None], 0, 1).astype("float32")


def match_color(style: np.ndarray, content: np.ndarray, shrinkage: float = 1e-4) -> np.ndarray:
    """Give the style picture the content's colour mean and covariance (CORAL).

        y = C_content**(1/2) C_style**(-1/2) (x - mean_style) + mean_content

    Stylising with the result keeps the photo's colours. Both covariances carry `shrinkage` on the
    diagonal: of a grey picture two of three eigenvalues are zero and the inverse root would be
    infinite. The authors' code adds the identity to the un-normalised scatter for this.

    Args:
        style: Image `(height, width, 3)`, float in [0, 1]; gives the strokes.
        content: Image of any size; gives the colours.
        shrinkage: Variance added to each channel, above 0; 1e-4 is (2.5/255)**2.

    Returns:
        Image of the style's shape, float32, clipped to [0, 1].

    Example:
        >>> grey, red = np.full((4, 4, 3), 0.5), np.full((4, 4, 3), (0.8, 0.2, 0.2))
        >>> print(match_color(grey, red)[0, 0].round(3))
        [0.8 0.2 0.2]

    Reference: https://arxiv.org/abs/1606.05897, section 3.2.
    """

    def mean_and_root(image, power):
        pixels = np.asarray(image, "float64").reshape(-1, 3)
        mean = pixels.mean(0)
        covariance = (pixels - mean).T @ (pixels - mean) / len(pixels) + shrinkage * np.eye(3)
        values, vectors = np.linalg.eigh(covariance)
        return mean, (vectors * values**power) @ vectors.T

    style_mean, whiten = mean_and_root(style, -0.5)
    content_mean, color = mean_and_root(content, 0.5)
    matched = (np.asarray(style, "float64") - style_mean) @ whiten @ color + content_mean
    return np.clip(matched, 0, 1).astype("float32")
