"""The pages of `fcn explain` for the report: what each model does with a validation picture."""

from collections.abc import Mapping
from pathlib import Path

from fcn.evaluate import Evaluation, explain
from fcn.explain import page
from fcn.spec import ModelSpec


def write(
    folder: Path, found: Mapping[str, Evaluation], specs: Mapping[str, ModelSpec]
) -> dict[str, dict[str, str]]:
    """Writes a page for each model whose evaluation has left the numbers for it.

    Args:
        folder: of the report.
        found: the evaluations, by variant.
        specs: of the models, by variant.

    Returns:
        `image`, the id of the image, and `page`, the address of the page, by variant.

    Raises:
        UserError: the numbers are damaged, or those of another net.
    """
    made = {}
    for name, evaluation in found.items():
        assert evaluation.folder is not None
        if not (path := evaluation.folder / explain.FILE).is_file():
            continue
        image = explain.chosen(evaluation.counts)
        steps = explain.load(path, specs[name])
        html = page.page(steps, specs[name], image, ("index.html", "The report"))
        made[name] = {"image": image, "page": f"explained-{name}.html"}
        (folder / made[name]["page"]).write_text(html, encoding="utf-8")
    return made
