"""Stage `report`: the staged models side by side on one page."""

from pathlib import Path

from tasks.report import write_report
from tasks.settings import config


def report(
    records: Path,
    models: Path,
    metrics: Path,
    plots: Path,
    out: Path,
    settings: Path = config.PARAMS,
) -> None:
    """Write the page.

    Args:
        records: folder of the records.
        models: folder with a model folder per variant.
        metrics: folder with a JSON file per variant.
        plots: folder with a folder per variant.
        out: folder to write.
        settings: what is set: params.yaml, or the settings.json that came out of it.
    """
    write_report(config.read(settings), records, models, metrics, plots, out)
