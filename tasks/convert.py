"""The classifier's published weights into the project's own file."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fcn import files
from fcn.weights import caffe, convert


@task(cache_policy=NO_CACHE)
def convert_weights(source: Path, backbone: str, out: Path, report: Path) -> None:
    """Converts `source` (a caffemodel) into `out` (.npz) and writes an account of every weight to `report` (JSON).

    Raises:
        UserError: not a caffemodel, or not the `backbone`; nothing is written then.
    """
    weights, rows = convert.convert(caffe.read(source), backbone, str(source))
    files.save_arrays(out, weights)
    files.write_json(report, {"backbone": backbone, "source_sha256": files.digest(source), "weights": rows})
    log = get_run_logger()
    for row in rows:
        if row["array"] == "kernel":
            shapes = f"{row['source_shape']} -> {row['result_shape']}"
            log.info("%-8s %-17s %s, mean %+.4f, std %.4f", row["layer"], row["action"], shapes, row["mean"], row["std"])
    total = sum(array.size for array in weights.values())
    log.info("%s: %d layers, %s parameters", out, len(weights) // 2, f"{total:,}")
