"""`python -m flows.doctor PATH`: what a folder of labels is, what is wrong with it, and what to do. Needs no server."""

import argparse
import sys
from pathlib import Path

from fcn import doctor
from fcn.errors import UserError, shown, words
from fcn.io import files
from flows.runner import to_path

STOPS, MISUSE = 1, 2


def main(argv: list[str] | None = None) -> int:
    """Looks at a path and says what it found, on standard output.

    Returns:
        0: nothing wrong, or converted; 1: findings that would stop `records`; 2: misuse.
    """
    arguments = _parser().parse_args(argv)
    try:
        if arguments.json:
            files.check_file(arguments.json, "--json")
        if arguments.convert:
            files.check_folder(arguments.convert, option="--convert")
        classes, colours = _classes(arguments.classes)
        diagnosis = doctor.examine(arguments.path, classes, colours, _progress if sys.stderr.isatty() else lambda *_: None)
        print(doctor.table(diagnosis))
        if arguments.json:
            files.write_json(arguments.json, diagnosis.to_json())
        if arguments.convert:
            written = doctor.convert(diagnosis, arguments.convert)
            values = ", ".join(f"{value} {shown(name)}" for value, name in enumerate(diagnosis.names))
            print(f"\nWrote {written} labels as class indices to {shown(arguments.convert)}: {values}.")
            if diagnosis.layout in ("folder", "labels"):
                print("In classes.txt their names stand in this order, one per line, without colours.")
            return 0
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return MISUSE
    return STOPS if diagnosis.stops else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.doctor",
        description="Says what a folder of labels is, what is wrong with it, and what to do.",
        epilog="Exit code: 0 nothing wrong, 1 findings that would stop `records`, 2 misuse.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "path", type=to_path, help="a data set's folder (images/ and masks/, VOC's, ADE20K's, SBD's), labels, a label"
    )
    parser.add_argument(
        "--json", type=to_path, metavar="FILE", help="write the findings to FILE, too; `fcn.doctor` has the schema"
    )
    parser.add_argument("--classes", metavar="N|FILE", help="how many classes there are, or a classes.txt that says it")
    parser.add_argument(
        "--convert", type=to_path, metavar="OUT", help="write the labels as class indices to the new folder OUT"
    )
    return parser


def _classes(given: str | None) -> tuple[int | tuple[str, ...] | None, tuple[int, ...]]:
    if given is None:
        return None, ()
    if given.isdecimal():
        if not 2 <= int(given) <= 255:
            raise UserError(f"--classes: expected 2 to 255 classes, got {given}")
        return int(given), ()
    if not Path(given).is_file():
        raise UserError(f"--classes: expected a number or a file of names, got {given}")
    return doctor.read_classes(Path(given))


def _progress(number: int, total: int) -> None:
    if number % 100 == 0 or number == total:
        print(f"\r{number} of {total}", end="\n" if number == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
