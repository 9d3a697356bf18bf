"""Stage `records`: images and labels as TFRecord files."""

import sys
from pathlib import Path

from prefect import flow

from flows import config, stage
from tasks.write_records import write_records


@flow
def records(raw: Path, out: Path) -> None:
    """Check every pair of image and label and write the records.

    Args:
        raw: folder of the profile, with images/.
        out: folder to write.
    """
    _, profile = config.read()
    write_records(raw / "images", profile.records, out)


if __name__ == "__main__":
    sys.exit(stage.main(records))
