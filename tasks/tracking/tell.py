"""How each entry of a ledger is told to MLflow.

Twice leaves what once leaves: MLflow keeps one of equal points, parameters, tags, datasets and
files of a name.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn.io import files
from tasks.tracking import entries

POINTS = 1000
"""MLflow's limit for the metrics of one request."""
_BATCH = 100  # likewise for parameters or tags


class Refused(Exception):
    """MLflow works and does not take this: no use in trying again."""


@dataclass
class Target:
    """A run in an MLflow that works.

    Attributes:
        client: MLflow's.
        id: of the run.
        files: folder of what the ledger has kept.
        former: folder of the run's artifacts, if MLflow's database was lost.
    """

    client: Any
    id: str
    files: Path
    former: Path | None = None

    def log(self, kind: str, entities: list[Any], size: int = _BATCH) -> None:
        """Tells metrics, params or tags."""
        for at in range(0, len(entities), size):
            self.client.log_batch(self.id, **{kind: entities[at : at + size]})

    def path(self, kept: str, otherwise: Path | None) -> Path:
        """Where a kept file is; once MLflow has it, it is kept no more, but is `otherwise`."""
        for path in (self.files / kept, otherwise):
            if path and path.exists():
                return path
        raise Refused(f"{Path(kept).name} is kept no more")


def tell(entry: entries.Entry, target: Target) -> str | None:
    """Tells an entry that has no points; returns what came of it in words, if it is worth them."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

    client, run = target.client, target.id
    match entry:
        case entries.Begin(stage="train"):
            client.update_run(run, status="RUNNING")
        case entries.Params(values=values):
            known = client.get_run(run).data.params  # MLflow refuses a second value
            target.log("params", [Param(*each) for each in values.items() if each[0] not in known])
        case entries.Tags(values=values, missing=missing):
            known = client.get_run(run).data.tags if missing else {}
            target.log("tags", [RunTag(*each) for each in values.items() if each[0] not in known])
        case entries.Facts(name=name, values=values):
            client.log_dict(run, values, f"made_from/{name}.json")
        case entries.Dataset():
            source = json.dumps({"name": entry.name, "digest": entry.digest})
            data = Dataset(entry.name, entry.digest[:36], "local", source)
            used = DatasetInput(data, [InputTag("mlflow.data.context", entry.context)])
            client.log_inputs(run, [used])
        case entries.Artifact(folder=folder):
            there = Path(folder or "", "" if entry.tree else Path(entry.path).name)
            path = target.path(entry.path, target.former and target.former / there)
            (client.log_artifacts if entry.tree else client.log_artifact)(run, str(path), folder)
        case entries.Register(tags=tags):
            from tasks.tracking import registry

            weights = Path(entry.source, "weights.npz")
            same = weights.is_file() and files.digest(weights) == tags[registry.SHA]
            model = target.path(entry.path, weights.parent if same else None)
            return registry.enter(client, run, entry, model)
        case entries.End(status=str(status)):
            client.set_terminated(run, status, entry.time)
    return None
