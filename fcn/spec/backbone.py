"""What a classifier is to an FCN, as data: its rows of convolutions, its dense layers, its crop
offsets.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Padding:
    """How a net keeps its maps aligned.

    Attributes:
        border: pixels of zeros around the image.
        rest: Keras' padding of the first convolution, the dense layers and the deconvolutions.
        skip_offset: where the scores of a pooling layer are cropped to the upsampled ones.
        score_offset: by stride, where the upsampled scores are cropped to the image.

    Example:
        >>> from fcn.spec import BACKBONES
        >>> caffe = BACKBONES["vgg16"].paddings["caffe"]  # the authors' crop offsets
        >>> caffe.skip_offset, caffe.score_offset
        ({'pool4': 5, 'pool3': 9}, {32: 19, 16: 27, 8: 31})
    """

    border: int
    rest: str
    skip_offset: dict[str, int]
    score_offset: dict[int, int]


@dataclass(frozen=True)
class Dense:
    """A fully connected layer as a convolution: its `name`, its kernel's `side`, and the `dropout`
    layer after it, if any.
    """

    name: str
    side: int
    dropout: str | None = None


@dataclass(frozen=True)
class Backbone:
    """A classifier, and what it becomes.

    Attributes:
        input: what it takes: "bgr", blue, green and red of 0..255 minus a mean; or "grey", of
            0..255 divided by 256.
        blocks: the convolutions as (name, filters at width 1), by block; block n ends with the max
            pooling `pool<n>`.
        side: of every convolution's kernel.
        padding: Keras' padding of every convolution but the first, which has `Padding.rest`.
        activation: after every convolution; the dense layers have ReLU.
        dense: the fully connected layers that are kept, as convolutions. The last one is scored.
        dropped: the last one, its classes, which is not.
        paddings: the geometries that it can have, by the names that `ModelSpec.padding` takes.

    Example:
        >>> from fcn.spec import BACKBONES
        >>> BACKBONES["lenet"].layers()
        {'conv1': 5, 'conv2': 5, 'ip1': 4}
        >>> BACKBONES["vgg16"].convolutions()[:3]
        ['conv1_1', 'conv1_2', 'conv2_1']
    """

    input: str
    blocks: tuple[tuple[tuple[str, int], ...], ...]
    side: int
    padding: str
    activation: str | None
    dense: tuple[Dense, ...]
    dropped: str
    paddings: dict[str, Padding]

    @property
    def channels(self) -> int:
        """Of its input."""
        return {"bgr": 3, "grey": 1}[self.input]

    def convolutions(self) -> list[str]:
        """Names of the convolutions, first to last."""
        return [name for block in self.blocks for name, _ in block]

    def dense_names(self) -> list[str]:
        """Names of the fully connected layers that are kept, first to last."""
        return [dense.name for dense in self.dense]

    def layers(self) -> dict[str, int]:
        """The layers with weights that an FCN keeps, by name, first to last:
        their kernels' sides.
        """
        return dict.fromkeys(self.convolutions(), self.side) | {
            dense.name: dense.side for dense in self.dense
        }
