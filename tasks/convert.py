"""The classifier's published weights into the project's own file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcn.io import files
from fcn.spec import check_dense
from fcn.weights import account, conversion, readers
from tasks.tracking import steps


@steps.step("convert weights")
def convert_weights(
    sources: Sequence[Path],
    backbone: str,
    out: Path,
    report: Path,
    new_layers: Sequence[Sequence[str]] = (),
) -> None:
    """Converts the first of `sources` into `out` (.npz) and writes an account of every weight to
    `report` (JSON).

    Args:
        sources: weight files of one network, of any container that `fcn.weights.readers` knows;
            those after the first are compared with it, and nothing else.
        backbone: key of `architecture.BACKBONES`.
        out: the project's own weight file.
        new_layers: of each training that starts from these weights, the fully connected layers that
            begin anew.
        report: `backbone`; `sources`, one entry per file; `weights`, see `convert.convert`, of the
            first; and, if there are several files, `differences`, see `account.differences`, each
            with the name of its `source`.

    Raises:
        UserError: a file is no weight file, not of the `backbone`, or lacks what a training takes
            from it; nothing is written then.
    """
    files.check_file(out, "--out")
    files.check_file(report, "--report")
    weights, rows, entry = _converted(sources[0], backbone)
    for names in new_layers:
        check_dense((row["layer"] for row in rows), backbone, names, str(sources[0]))
    entries, differences = [entry], []
    for source in sources[1:]:
        others, _, entry = _converted(source, backbone)
        entries.append(entry)
        differences += [
            {"source": source.name, **each}
            for each in account.differences(weights, others, str(source))
        ]
    files.save_arrays(out, weights)
    content: dict[str, Any] = {"backbone": backbone, "sources": entries, "weights": rows}
    files.write_json(report, content | ({"differences": differences} if differences else {}))
    _print(content["sources"], rows, differences)
    steps.show(
        "conversion", f"What became of {sources[0].name}", table=[_shown(row) for row in rows]
    )
    if differences:
        steps.show("cross-check", f"What differs from {sources[0].name}", table=differences)
    total = sum(array.size for array in weights.values())
    steps.logger().info("%s: %d layers, %s parameters", out, len(weights) // 2, f"{total:,}")


def _converted(
    source: Path, backbone: str
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """One file's weights, their rows, and its own entry in the report."""
    found = readers.read(source)
    weights, rows = conversion.convert(
        found.layers, backbone, str(source), found.axes, found.channels
    )
    keys = ("input_order", "input_order_by", "published", "differing")
    entry = {"file": source.name, "container": found.container, "sha256": files.digest(source)}
    return weights, rows, entry | {key: rows[0][key] for key in keys}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A weight's row of the report, as one reads it."""
    shapes = {key: " x ".join(map(str, row[f"{key}_shape"] or ())) for key in ("source", "result")}
    numbers = {key: f"{row[key]:.4f}" for key in ("mean", "std")}
    return {
        "layer": row["layer"],
        "array": row["array"],
        "what": row["action"],
        **shapes,
        **numbers,
    }


def _print(
    entries: list[dict[str, Any]], rows: list[dict[str, Any]], differences: list[dict[str, Any]]
) -> None:
    log = steps.logger()
    for entry in entries:
        known = (
            (f"these are the published weights of {entry['published']}")
            if entry["published"]
            else "of no known network"
        )
        order, by = entry["input_order"].upper(), entry["input_order_by"]
        log.info(
            "%s: %s, made for %s images (going by its %s); %s",
            entry["file"],
            entry["container"],
            order,
            by,
            known,
        )
        if entry["differing"]:
            words = "%s: conv1_1 is that of the published vgg16, but these layers are not: %s"
            log.warning(words, entry["file"], ", ".join(entry["differing"]))
    for row in rows:
        if row["array"] == "kernel":
            shapes = f"{row['source_shape']} -> {row['result_shape']}"
            log.info(
                "%-8s %-17s %s, mean %+.4f, std %.4f",
                row["layer"],
                row["action"],
                shapes,
                row["mean"],
                row["std"],
            )
    for row in differences:
        text = (
            f"{row['source']}: {row['layer']}/{row['array']} differs by at most "
            f"{row['largest']:.3g}"
        )
        if "explained_by" in row:
            log.warning(
                "%s, that is %.1f%%: %s",
                text,
                100 * row["share"],
                row["explained_by"] or "other weights",
            )
        else:
            log.info("%s", text)
