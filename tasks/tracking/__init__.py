"""What MLflow is told, and how it gets there: the only folder that imports mlflow."""

from tasks.tracking.checkout import root, sqlite
from tasks.tracking.evaluated import Evaluation
from tasks.tracking.progress import Progress, duration
from tasks.tracking.redaction import hidden, known

__all__ = ["Evaluation", "Progress", "duration", "hidden", "known", "root", "sqlite"]
