"""All formats of annotation tools, and which one a folder has."""

from collections.abc import Callable
from pathlib import Path

from fcn.datasets.annotations import coco, labelme, streets, tables, yolo
from fcn.datasets.annotations.tree import Annotated, Tree
from fcn.errors import UserError

FORMATS: dict[str, Callable[[Tree], Annotated | None]] = {
    "Cityscapes": streets.cityscapes,
    "CamVid of SegNet": streets.segnet,
    "CVAT masks": tables.cvat,
    "Roboflow masks": tables.roboflow,
    "class_dict.csv": tables.class_dict,
    "CamVid": tables.camvid,
    "labelme JSON": labelme.recognise,
    "COCO JSON": coco.recognise,
    "YOLO-seg": yolo.recognise,
}
"""What recognises each, in the order in which they are asked."""


def recognise(root: Path) -> Annotated | None:
    """What a folder of an annotation tool holds; None if it is of none of the `FORMATS`.

    Raises:
        UserError: it is of one, but something is missing or damaged, or it has boxes alone.
    """
    tree = Tree(root)
    for read in FORMATS.values():
        found = read(tree)
        if found is not None:
            return found
    _refuse_boxes(tree)
    return None


def _refuse_boxes(tree: Tree) -> None:
    """VOC's boxes, an XML file for each image, without masks."""
    boxes = tree.ending((".xml",))
    masks = any(path.parts[0] in ("masks", "SegmentationClass") for path in tree.files)
    if boxes and not masks and b"<bndbox>" in (tree.root / boxes[0]).read_bytes():
        raise UserError(f"{tree.root}: VOC XML with boxes alone ({len(boxes)} files): {coco.BOXES}")
