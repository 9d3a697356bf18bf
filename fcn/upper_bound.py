"""What mean IU a net could reach at most, scoring only every so many pixels."""

import numpy as np
from PIL import Image

from fcn.metrics import VOID


def reconstruct(truth: np.ndarray, stride: int) -> np.ndarray:
    """The truth as seen through a net's stride: down to one score per class and cell, and up again as the net does it.

    A cell of stride x stride pixels, the first at the top left, gets each class's share of it. The shares are upsampled
    bilinearly, as the nets upsample their scores, and the class with the largest one wins. The paper does not say how it
    made its table; on VOC's labels this comes within a few points of it at every stride.

    Args:
        truth: integers (H, W), 255 being void.
        stride: pixels between two scores, at least 1.

    Returns:
        uint8 (H, W), without void. Its confusion with `truth` gives the upper bound; in a truth of void alone, 0.

    Source: section 4.3 of the CVPR paper, the table of upper bounds by downsampling factor.
    """
    present = np.unique(truth[truth != VOID]).astype(np.uint8)
    if len(present) < 2:
        return np.full(truth.shape, present[0] if len(present) else 0, np.uint8)
    rows, columns = (-(-side // stride) for side in truth.shape)
    padded = np.full((rows * stride, columns * stride), VOID, truth.dtype)
    padded[: truth.shape[0], : truth.shape[1]] = truth
    cells = padded.reshape(rows, stride, columns, stride)
    # Pillow's bilinear filter is the nets' transposed convolution, but for the border, where it divides by the weights that
    # are left: all classes alike, so the largest stays the largest.
    size = padded.shape[::-1]
    shares = [Image.fromarray((cells == c).mean((1, 3), dtype=np.float32)) for c in present]
    upsampled = [np.asarray(share.resize(size, Image.Resampling.BILINEAR)) for share in shares]
    return np.asarray(present[np.argmax(upsampled, axis=0)[: truth.shape[0], : truth.shape[1]]])
