"""Files that are read back: of a bounded size, parsed, and checked against a typed model.

Whatever is wrong with one becomes one sentence: the file, where in it, what was expected, what
came, what to do.
"""

import csv
import functools
import io
import json
import os
import re
import reprlib
import stat
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fcn.errors import CONTROL, UserError

T = TypeVar("T")
Row = TypeVar("Row", bound=BaseModel)

SMALL, LARGE = 2**20, 2**25
"""Bytes that a file may have: one for people to read, and one with a line for each of 800 000
images.
"""
_LONGEST = 200  # characters of a value that a message shows
# What is left of pydantic's words: "Input should be a valid number, unable to parse ..." -> "a
# valid number".
_SHOULD = re.compile(
    r"^Value error, |^\w+ should (be|have|match) "
    r"|(?<=items) after validation, not .*|, unable to parse .*"
)
_OBJECT = re.compile(r"^(an object|a valid dictionary.*)$")
_PLAIN = re.compile(r"[\w@./ -]{1,60}")
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 100


class Model(BaseModel):
    """What a file holds: no value of another type, no unknown key, no NaN and nothing infinite."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def named(text: str) -> str:
    """The text, unless it has control characters."""
    if CONTROL.search(text):
        raise ValueError("a name without control characters")
    return text


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names that are all different")
    return names


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(named)]
"""Of a class, an image, a split: it is shown, and stands in tables."""
Classes = Annotated[
    tuple[Name, ...], Field(min_length=2, max_length=255), AfterValidator(_different)
]
"""Names of classes by label value; 255 is void."""


def quoted(value: object) -> str:
    """A value that somebody else wrote, as Python would write it: short, and without control
    characters.
    """
    text = _BRIEF.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def content(path: Path, remedy: str, most: int = SMALL) -> bytes:
    """All bytes of a file.

    Args:
        path: a regular file, or a link to one.
        remedy: what to do about one that is wrong, for the end of the message.
        most: bytes that it may have.

    Raises:
        UserError: there is no such file, it is none, it is larger, or it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a FIFO would be waited for
            raise UserError(f"{path}: expected a file, but it is not a regular file; {remedy}")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path}: no such file; {remedy}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {remedy}") from error
    if len(data) > most:
        raise UserError(f"{path}: more than {most} bytes, which no such file has; {remedy}")
    return data


def lines(path: Path, what: str, remedy: str, most: int = LARGE) -> list[str]:
    """The lines of a text in UTF-8, without the blanks around them; empty ones are left out.

    Args:
        path: the file.
        what: it is expected to hold, for messages: "the name of a class per line".
        remedy: see `content`.
        most: see `content`.

    Raises:
        UserError: see `content`; or it is no text.
    """
    data = content(path, remedy, most)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected {what}, but it is no UTF-8 text: {error}; {remedy}"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_json(path: Path, kind: type[T], remedy: str, most: int = SMALL) -> T:
    """What a JSON file holds.

    Args:
        path: the file.
        kind: a `Model`, a dataclass, or any type that pydantic knows.
        remedy: see `content`.
        most: see `content`.

    Raises:
        UserError: see `content`; it is no JSON, a key stands in it twice, or it is not of this
            `kind`.
    """
    return parse_json(content(path, remedy, most), kind, str(path), remedy)


def parse_json(data: bytes, kind: type[T], where: str, remedy: str) -> T:
    """`read_json` of bytes that were read already; `where` is what to call them."""
    try:
        json.loads(data.decode(), object_pairs_hook=_each_once)
        found: T = adapter(kind).validate_json(data)  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        raise _refusal(where, error, remedy) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{where}: expected JSON, but: {error}; {remedy}") from error


def checked(value: Any, kind: type[T], where: str, remedy: str) -> T:
    """Plain data that some other parser read, of this `kind`; see `read_json`."""
    try:
        found: T = adapter(kind).validate_python(value)  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        raise _refusal(where, error, remedy) from None


def read_csv(
    path: Path, kind: type[Row], remedy: str, most: int = LARGE, where: str = ""
) -> list[Row]:
    """The rows of a CSV file whose header names the fields of `kind`, in their order.

    Args:
        path: the file.
        kind: a `Model` with a field per column; an empty cell is None.
        remedy: see `content`.
        most: see `content`.
        where: what to call the file; its path, if empty.

    Raises:
        UserError: see `content`; it is no text, has other columns, or a row that is not of this
            `kind`.
    """
    data = content(path, remedy, most)
    where = where or str(path)
    columns = [field.alias or name for name, field in kind.model_fields.items()]
    rows: list[Row] = []
    try:
        table = csv.reader(io.StringIO(data.decode(), newline=""))
        header = next(table, [])
        if header != columns:
            came = quoted(", ".join(header)) if header else "an empty file"
            raise UserError(
                f"{where}: expected the columns {', '.join(columns)}; got {came}; {remedy}"
            )
        for cells in table:
            line = f"{where}, line {table.line_num}"
            if len(cells) != len(columns):
                raise UserError(
                    f"{line}: expected {', '.join(columns)}; got "
                    f"{quoted(','.join(cells))}; {remedy}"
                )
            try:
                found = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
                rows.append(kind.model_validate_strings(found))
            except ValidationError as error:
                raise _refusal(line, error, remedy) from None
    except UserError:
        raise
    except (csv.Error, ValueError) as error:
        raise UserError(f"{where}: expected a table in UTF-8, but: {error}; {remedy}") from error
    return rows


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What checks data of a type, made once.

    Args:
        kind: any type that pydantic knows.
    """
    return TypeAdapter(kind)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {quoted(next(n for n in found if names.count(n) > 1))} stands there twice"
        )
    return found


def _refusal(where: str, error: ValidationError, remedy: str) -> UserError:
    """The first thing that is wrong, in words."""
    first = error.errors(include_url=False)[0]
    parts = (part for part in first["loc"] if part != "[key]")
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in parts
    ).lstrip(".")
    if first["type"] == "missing":
        words = "missing"
    elif first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        words = "unknown key"
    else:
        message = _OBJECT.sub("keys with values", _SHOULD.sub("", first["msg"]))
        words = f"expected {message[:_LONGEST]}, got {quoted(first['input'])}"
    return UserError(f"{where}: {place}{': ' * bool(place)}{words}; {remedy}")


def _plain(part: object) -> str:
    return str(part) if _PLAIN.fullmatch(str(part)) else quoted(part)
