"""`fcn compare RUN RUN`: is the second net better than the first, or only on these images?"""

from typing import Annotated

from cyclopts import Parameter

from fcn.cli import MADE, Place


def compare(
    first: str,
    second: str,
    /,
    *,
    images: Place | None = None,
    json: Annotated[Place | None, Parameter(group=MADE)] = None,
    page: Annotated[Place | None, Parameter(group=MADE)] = None,
    table_only: Annotated[bool, Parameter(group=MADE, negative="")] = False,
) -> None:
    """Compare two evaluated nets class by class, with a paired bootstrap over the images.

    Each is a variant's name (`fcn8s`), a folder with images.csv (`../other/plots/fcn8s`),
    `mlflow:<run id>`, `mlflow:<experiment>/<run name>`, or a registered model
    (`models:/fcn-sample@champion`).

    Example: `fcn compare fcn32s fcn8s`

    Args:
        first: One net.
        second: The other one; differences are the second minus the first.
        images: Compare on the images of this list alone, one id a line: seg11valid.txt.
        json: Write the numbers to this file, too.
        page: Where to write the page with pictures, one HTML file. In a workspace:
            `compared/FIRST-SECOND.html`; elsewhere none, if not asked for.
        table_only: Print the table and write no page.

    Raises:
        UserError: no such evaluation, or the two were not measured on the same thing.
    """
    from flows import compare

    compare.compare(first, second, images, json, page, table_only)
