"""What others scored with these nets, and beside which scores of ours that may stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_VOC = ("background", "aeroplane", "pottedplant", "tvmonitor")  # by which VOC's 21 are known
_AUTHORS = {
    "fcn32s": (0.9048, 0.7648, 0.6363, 0.8346),
    "fcn16s": (0.9100, 0.7807, 0.6501, 0.8426),
    "fcn8s": (0.9122, 0.7761, 0.6551, 0.8454),
    "fcn8s_atonce": (0.9113, 0.7850, 0.6540, 0.8443),
}
_CVPR = {
    "fcn32s": (0.891, 0.733, 0.594, 0.814),
    "fcn16s": (0.900, 0.757, 0.624, 0.830),
    "fcn8s": (0.903, 0.759, 0.627, 0.832),
}


@dataclass(frozen=True)
class Reference:
    """Scores of somebody else.

    Attributes:
        title: of the row.
        about: what they are, as the end of a sentence.
        scores: by variant, in the order of `page.SCORES`; None: not published.
    """

    title: str
    about: str
    scores: Mapping[str, tuple[float | None, ...]]


_SEG11VALID = (
    Reference("authors' weights", "what the authors' published weights score", _AUTHORS),
    Reference("CVPR 2015", "the paper's table", _CVPR),
)
"""On seg11valid, 736 images of VOC2011."""
_SERVER = (
    Reference(
        "CVPR, VOC2012 test",
        "the paper's score on the test images of VOC2012",
        {"fcn8s": (None, None, 0.622, None)},
    ),
    Reference(
        "PAMI, VOC2012 test", "that of its second version", {"fcn8s": (None, None, 0.672, None)}
    ),
)


def beside(
    dataset: str, classes: Sequence[str], measured: Mapping[str, Any]
) -> tuple[tuple[Reference, ...], str]:
    """The references that belong beside these scores, and a sentence that says on which images they
    were measured.

    Args:
        dataset: `records.dataset` of the profile.
        classes: their names.
        measured: what the metrics files hold, by variant.
    """
    provenance = [row["provenance"] for row in measured.values()]
    splits = {each.get("split") for each in provenance}
    if splits == {"seg11valid"}:
        return _SEG11VALID, "On these images, seg11valid"
    if len(classes) == 21 and {*_VOC} <= {*classes}:
        found = _SEG11VALID + (_SERVER if dataset == "voc2012" else ())
        return found, "For orientation, of the same classes on other images, seg11valid of VOC2011"
    return (), ""
