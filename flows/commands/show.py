"""`fcn show`: scores and settings."""

from typing import Annotated, Literal

from cyclopts import Parameter


def show(
    what: Literal["scores", "params", "keys", "cost"] = "scores",
    under: Annotated[list[str] | None, Parameter(name="KEY", negative="")] = None,
    /,
) -> None:
    """Show the scores, what is set, or what it will cost.

    Example: `fcn show params train.fcn32s`

    Args:
        what: scores: a row for each evaluated net; params: the profile as it comes out, and where
            each value was written; keys: all that may be set; cost: what the profile will take in
            downloads, disk, memory and hours, from a measurement of 20 seconds.
        under: Of params, only keys that begin so: model, train.fcn32s.

    Raises:
        UserError: there is nothing to show, or a file is wrong.
    """
    from flows import show

    show.show(what, under or [])
