"""How MLflow's pages show the runs of an experiment: its columns, their order, and the charts."""

import json
from typing import Any

# MLflow's table opens with the newest run first and without any score. This saved view, which
# `Run.models_url` asks for, has the best model first and its scores on the left, and above MLflow's
# own charts those that compare the models. The run's name, which begins with the variant, and its
# date are always there.
_COLUMNS = {  # from left to right: name in MLflow's UI -> width in pixels
    "metrics.`mean_iu`": 90,
    "metrics.`pixel_accuracy`": 120,
    "metrics.`mean_accuracy`": 120,
    "metrics.`frequency_weighted_iu`": 170,
    "tags.`evaluate.split`": 110,
    "tags.`evaluate.images`": 120,
    "duration": 80,
    "attributes.`Models`": 110,
    "params.`profile`": 90,
    "attributes.`Dataset`": 300,
}
_SECTION = {
    "uuid": "fcn-models",
    "name": "A comparison of the models",  # MLflow orders its sections by their names
    "display": True,
    "isReordered": True,
}


def _chart(kind: str, metric: str) -> dict[str, Any]:
    """A chart of all runs, as MLflow's UI has it."""
    line = {
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
    }
    return {
        "type": kind, "uuid": f"fcn-{metric}", "metricSectionId": _SECTION["uuid"],
        "metricKey": metric,
        "selectedMetricKeys": [metric], "runsCountToCompare": 10, "deleted": False,
        "isGenerated": False,
        **(line if kind == "LINE" else {}),
    }  # fmt: skip


VIEW = {
    "mlflow.sharedViewState.scores": json.dumps(
        {
            "compareRunSections": [_SECTION],
            "compareRunCharts": [
                _chart("BAR", "mean_iu"),
                _chart("LINE", "val_mean_iu"),
                _chart("LINE", "loss"),
            ],
            "orderByKey": "metrics.`mean_iu`",
            "orderByAsc": False,
            "selectedColumns": list(_COLUMNS),
            "columnOrder": list(_COLUMNS),
            "columnWidths": _COLUMNS,
        }
    )
}
"""A tag of every experiment."""
