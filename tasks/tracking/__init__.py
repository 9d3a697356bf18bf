"""What Prefect and MLflow are told of a run: first its ledger, from there MLflow. No other room of
tasks/ imports the two.

One flat run per staged model: `training` opens it, and `scoring`, in the evaluation stage's own
process, finds it again by the digest of the weights. No run id lies in a DVC output: a model that
DVC restores keeps its run.

The store is `mlflow.db` with `mlartifacts/` beside it in the checkout, or what
`MLFLOW_TRACKING_URI` names. Tracking is a record, never a condition: a stage writes its ledger, and
a process of its own tells MLflow (`tasks.tracking.forwarder`). When the store fails, one warning is
logged, and what it should know stands in the ledger.
"""

from tasks.tracking.checkout import root
from tasks.tracking.progress import Progress, duration
from tasks.tracking.redaction import hidden, known
from tasks.tracking.run import MODEL, NOTE, Run, scoring, training
from tasks.tracking.runspec import RunSpec
from tasks.tracking.store import SCORES

__all__ = [
    "MODEL",
    "NOTE",
    "SCORES",
    "Progress",
    "Run",
    "RunSpec",
    "duration",
    "hidden",
    "known",
    "root",
    "scoring",
    "training",
]
