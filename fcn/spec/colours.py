"""VOC's colours of the classes, and void: the label that counts for nothing."""

import numpy as np

VOID = 255
"""The label of pixels that are neither trained on nor scored: the borders of VOC's objects."""

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

VOID_COLOUR: Colour = (224, 224, 192)
"""VOC's colour of void, which stands for void in all masks of colours."""


def palette() -> np.ndarray:
    """The VOC colour map: uint8 (256, 3), RGB by class index; 255 (void) is (224, 224, 192).

    The bits of the index are dealt out to red, green and blue, highest bit of the colour first
    (VOCcolormap of the development kit).

    Example:
        >>> palette()[[0, 1, 15, 255]].tolist()  # background, aeroplane, person, void
        [[0, 0, 0], [128, 0, 0], [192, 128, 128], [224, 224, 192]]
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((index >> (3 * bit + channel)) & 1).astype(np.uint8) << (
                7 - bit
            )
    return colours
