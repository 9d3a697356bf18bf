"""Plain data becomes what is declared, or a sentence for each fault, with the key's path."""

import dataclasses
import difflib
import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types as at
from pydantic import AfterValidator, ValidationError

from fcn.errors import UserError
from fcn.io import public
from fcn.reading import adapter, quoted

Place = tuple[str | int, ...]
"""Where a value stands: keys and, in lists, numbers."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like `name`, for a message: "did you mean `sample`?".

    Args:
        name: as it was written.
        known: those that there are.

    Returns:
        The question; "" if nothing is known.

    Example:
        >>> nearest("sampel", ["voc2012", "sample"])
        'did you mean `sample`?'
    """
    found = difflib.get_close_matches(name, [*known], n=1, cutoff=0.0)
    return f"did you mean `{found[0]}`?" if found else ""


@dataclass(frozen=True)
class _That:
    """A condition, and in words what is expected."""

    test: Callable[[Any], Any]
    words: str

    def __call__(self, value: Any) -> Any:
        if not self.test(value):
            raise ValueError(self.words)
        return value


def that(test: Callable[[Any], Any], words: str) -> AfterValidator:
    """A condition on a value, and what is expected in words.

    Args:
        test: whether a value is as it should be.
        words: what is expected, for the message.

    Returns:
        What stands beside a type in `Annotated`.
    """
    return AfterValidator(_That(test, words))


def one_of(known: Iterable[str]) -> AfterValidator:
    """One of these names.

    Args:
        known: the names.

    Returns:
        What stands beside a type in `Annotated`.
    """
    names = tuple(known)
    return that(names.__contains__, f"one of {', '.join(names)}")


def parse(kind: Any, value: Any, path: str) -> Any:
    """Turns plain data into `kind`: a dataclass, `tuple[X, ...]`, `dict[str, X]`, int, float, str
    or bool.

    Args:
        kind: the type wanted.
        value: mappings, lists and scalars, as YAML gives them.
        path: where the value stands, for messages.

    Returns:
        An instance of `kind`.

    Raises:
        UserError: a key is unknown, missing, of the wrong type or out of range. The message has a
            line for each of them, which names the key with its full path, what is expected and what
            came.
    """
    found, faults = checked(kind, value)
    if faults:
        raise UserError(*(f"{path}{dotted(place)}: {words}" for place, words in faults))
    return found


def checked(kind: Any, value: Any) -> tuple[Any, list[tuple[Place, str]]]:
    """The same without raising: an instance of `kind` or None, and all
    faults, each with its place.

    Args:
        kind: see `parse`.
        value: see `parse`.
    """
    try:
        # Of JSON, pydantic takes lists for tuples and mappings for dataclasses, and no text for a
        # number.
        return adapter(kind).validate_json(json.dumps(value)), []
    except ValidationError as error:
        faults = [
            fault for each in error.errors(include_url=False) for fault in _faults(kind, each)
        ]
        return None, [*dict.fromkeys(faults)]


def dotted(place: Place) -> str:
    """A place as the end of a path: `.train.fcn32s`, `.urls[0]`.

    Args:
        place: keys and numbers.

    Example:
        >>> dotted(("download", "urls", 0))
        '.download.urls[0]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _faults(kind: Any, error: Any) -> Iterator[tuple[Place, str]]:
    """What pydantic found, as one fault, or as many as the fields' own checks name."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "missing":
        yield place, "missing"
    elif error["type"] == "unexpected_keyword_argument":
        keys = [field.name for field in dataclasses.fields(type_at(kind, place[:-1])[0])]
        yield (
            place,
            (f"unknown key, {nearest(str(place[-1]), keys)} The keys here are {', '.join(keys)}"),
        )
    elif isinstance(raised := error.get("ctx", {}).get("error"), UserError):
        for line in str(raised).splitlines():
            key, _, words = line.partition(": ")
            below = [
                int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", key)
            ]
            yield (*place, *below), words
    else:
        of, extra = type_at(kind, place)
        expected = (
            str(raised) if raised else allowed(of, () if error["type"] == "tuple_type" else extra)
        )
        yield place, f"expected {expected}; got {came(error['input'])}"


def type_at(kind: Any, place: Iterable[str | int]) -> tuple[Any, tuple[Any, ...]]:
    """The type of what stands at a place of `kind`, and what is said of it besides.

    Args:
        kind: a dataclass, `dict[str, X]` or `tuple[X, ...]`.
        place: keys and numbers from there on.

    Returns:
        The type without its annotations, and these.
    """
    extra: tuple[Any, ...] = ()
    for part in (None, *place):
        if part is not None:
            if dataclasses.is_dataclass(kind):
                kind = typing.get_type_hints(kind, include_extras=True)[str(part)]
            else:  # dict[str, X] or tuple[X, ...]
                kind = typing.get_args(kind)[1 if typing.get_origin(kind) is dict else 0]
        extra = ()
        if typing.get_origin(kind) is Annotated:
            kind, *extra_list = typing.get_args(kind)
            extra = tuple(extra_list)
    return kind, extra


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
_BOUNDS = {
    at.Gt: "above {0.gt}",
    at.Ge: "at least {0.ge}",
    at.Lt: "below {0.lt}",
    at.Le: "at most {0.le}",
}
_BOUNDS[at.MaxLen] = "{0.max_length} characters at most"


def allowed(kind: Any, extra: Iterable[Any] = ()) -> str:
    """What a value of this type may be, in words: "a number, above 0 and at most 4".

    Args:
        kind: a type without its annotations, see `type_at`.
        extra: its annotations.

    Example:
        >>> allowed(float, (at.Gt(0), at.Le(4)))
        'a number, above 0 and at most 4'
    """
    for each in extra:
        if isinstance(each, AfterValidator) and isinstance(each.func, _That):
            return each.func.words
    if typing.get_origin(kind) is Literal:
        *names, last = map(str, typing.get_args(kind))
        return f"{', '.join(names)} or {last}"
    if dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict:
        return "keys with values"
    if typing.get_origin(kind) is tuple:
        return "a list"
    bounds = [_BOUNDS[type(each)].format(each) for each in extra if type(each) in _BOUNDS]
    return ", ".join([_WORDS[kind], *filter(None, [" and ".join(bounds)])])


def came(value: Any) -> str:
    """A value for a message: short, without secrets and control characters.

    Args:
        value: anything.
    """
    return public(quoted(value))
