"""`fcn doctor PATH`: what a folder of labels is, what is wrong with it, and what to do."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fcn.cli.options import MADE, Place
from fcn.cli.progress import counter
from fcn.errors import UserError, shown

STOPS = 1


def doctor(
    path: Place,
    /,
    *,
    classes: str | None = None,
    json: Annotated[Place | None, Parameter(group=MADE)] = None,
    convert: Annotated[Place | None, Parameter(group=MADE)] = None,
) -> int:
    """Say what a folder of labels is, what is wrong with it, and what to do.

    Exit code: 0 nothing wrong, or converted; 1 findings that would stop `records`; 2 misuse.

    Example: `fcn doctor data/own/photos`

    Args:
        path: A data set's folder (images/ and masks/, VOC's, ADE20K's, SBD's), labels, a label.
        classes: How many classes there are, or a classes.txt that says it.
        json: Write the findings to this file, too; `fcn.doctor` has the schema.
        convert: Write the labels as class indices to this new folder.

    Returns:
        0: nothing wrong, or converted; 1: findings that would stop `records`.

    Raises:
        UserError: no such path, or misuse.
    """
    from fcn import doctor
    from fcn.io import files

    if json:
        files.check_file(json, "--json")
    if convert:
        files.check_folder(convert, option="--convert")
    known, colours = _classes(classes)
    diagnosis = doctor.examine(path, known, colours, counter("pair"))
    print(doctor.summary(diagnosis, "fcn doctor"))
    print("", *doctor.table(diagnosis).splitlines()[1:], sep="\n")
    if json:
        files.write_json(json, diagnosis.to_json())
    if convert:
        written = doctor.convert(diagnosis, convert)
        values = ", ".join(f"{value} {shown(name)}" for value, name in enumerate(diagnosis.names))
        print(f"\nWrote {written} labels as class indices to {shown(convert)}: {values}.")
        if diagnosis.layout in ("folder", "labels"):
            print("In classes.txt their names stand in this order, one per line, without colours.")
        return 0
    return STOPS if diagnosis.stops else 0


def _classes(given: str | None) -> tuple[int | tuple[str, ...] | None, tuple[int, ...]]:
    from fcn import doctor

    if given is None:
        return None, ()
    if given.isdecimal():
        if not 2 <= int(given) <= 255:
            raise UserError(f"--classes: expected 2 to 255 classes, got {given}")
        return int(given), ()
    if not Path(given).is_file():
        raise UserError(f"--classes: expected a number or a file of names, got {given}")
    return doctor.read_classes(Path(given))
