"""Makes the README's first picture: a photograph, and beside it its segmentation with a legend.

    python -m docs.images.segmentation

from the project's root, with the net in the box or, with `--model`, another one.
"""

import argparse
from pathlib import Path

from PIL import Image

from fcn import pretrained
from fcn.cli.options import model_folder
from fcn.predict import predictions
from fcn.predict import predictor as predict

HERE = Path(__file__).parent
GAP = 8
"""Pixels between the two pictures."""


def picture(photo: Path, predictor: predict.Predictor) -> tuple[Image.Image, str]:
    """The photograph beside its segmentation, and the shares of the classes in words."""
    found = predictor.predict(photo)
    segmented = found.explained()
    left = found.image.shape[1] + GAP
    sheet = Image.new("RGB", (left + segmented.width, segmented.height), "white")
    sheet.paste(Image.fromarray(found.image), (0, 0))
    sheet.paste(segmented, (left, 0))
    return sheet, predictions.shares(found.labels, found.classes)


def main(argv: list[str] | None = None) -> None:
    """Writes the picture and says what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=pretrained.DEFAULT)
    parser.add_argument("--photo", type=Path, default=HERE / "chelsea.jpg")
    parser.add_argument("--out", type=Path, default=HERE / "segmentation.jpg")
    arguments = parser.parse_args(argv)
    sheet, shares = picture(arguments.photo, predict.load(model_folder(arguments.model)))
    sheet.save(arguments.out, quality=90, optimize=True)
    print(f"{arguments.out}: {shares}")


if __name__ == "__main__":
    main()
