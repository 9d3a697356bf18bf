"""`fcn show`: scores and settings."""

from typing import Annotated, Literal

from cyclopts import Parameter


def show(
    what: Literal["scores", "params", "keys"] = "scores",
    under: Annotated[list[str] | None, Parameter(name="KEY", negative="")] = None,
    /,
) -> None:
    """Show the scores, or what is set.

    Example: `fcn show params train.fcn32s`

    Args:
        what: scores: a row for each evaluated net; params: the profile as it comes out, and where
            each value was written; keys: all that may be set.
        under: Of params, only keys that begin so: model, train.fcn32s.

    Raises:
        UserError: there is nothing to show, or a file is wrong.
    """
    from flows import show

    show.show(what, under or [])
