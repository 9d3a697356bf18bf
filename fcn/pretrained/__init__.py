"""The nets in the box: model folders that come with the package, for photographs."""

from pathlib import Path

DEFAULT = "voc20"
"""PASCAL VOC's 20 classes and background; `voc20/README.md` says what it was trained on and what it
cannot do.
"""


def folders() -> dict[str, Path]:
    """The model folders by name."""
    return {
        path.parent.name: path.parent for path in sorted(Path(__file__).parent.glob("*/model.json"))
    }
