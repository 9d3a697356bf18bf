"""Killed at 30 random moments, the ledger and MLflow end as if nothing had happened."""

import functools
import random
from pathlib import Path

from tasks import tracking
from tasks.tracking import forward, ledger, registry
from tasks.tracking.mark import Mark

SHA = "5" * 64
CLIENT = (
    "create_run", "log_batch", "log_inputs", "log_dict", "log_artifact", "log_artifacts",
    "set_terminated", "update_run",
    "create_registered_model", "create_model_version", "set_registered_model_alias",
    "log_model_artifacts",
)  # fmt: skip


class Killed(BaseException):
    """`kill -9`: nothing more happens in this life."""


class Death:
    """Comes at the `left`-th call of those that `watch` was told of, before
    the call or after it.
    """

    def __init__(self, patch):
        self.patch, self.left, self.after, self.count = patch, None, False, 0

    def watch(self, owner, name):
        whole = getattr(owner, name)

        @functools.wraps(whole)
        def call(*given, **named):
            if self.left == 0:
                raise Killed
            if self.left is None:
                return whole(*given, **named)
            self.left -= 1
            if self.left or self.after:
                said = whole(*given, **named)
            if not self.left:
                self.count += 1
                raise Killed(name)
            return said

        self.patch.setattr(owner, name, call)


def train(experiment):
    """Says all that a training can say; a checkpoint is written at every second step."""
    known = next((each for each in ledger.ledgers() if each.opening.experiment == experiment), None)
    done = max((step for _, step in known.points()), default=0) if known else 0
    Path("plots").mkdir(exist_ok=True)
    Path("plots/iu.csv").write_text("class,iu\ncat,0.5\n")
    params = {"profile": "p", "train": {"seed": 1, "lr": 1e-10}}
    with tracking.training(
        experiment, "fcn8s", "k1", params=params, tags={"pipeline": "p1"}
    ) as told:
        for step in range(done // 2 * 2, 7):
            told.metrics({"loss": 8 / 2**step, "val/mean_iu": 0.25}, step)
        told.artifact(Path("plots/iu.csv"))
        told.artifact(Path("plots"), "pictures")
        told.facts("training", {"parent": "vgg"})
        told.dataset("p/train", SHA, "training")
        told.tags({tracking.MODEL: SHA})


def score(experiment):
    Path("model").mkdir(exist_ok=True)
    Path("model/weights.npz").write_text("weights")
    with tracking.scoring(experiment, "fcn8s", SHA, params={}, tags={"pipeline": "p2"}) as told:
        told.metrics({"mean_iu": 0.5})
        registry.register(told, experiment, "fcn8s", Path("model"), 0.5, "val", "d1", SHA)


def stored(client, experiment):
    """All that MLflow knows, but for ids and times."""
    (found,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    names = sorted(found.data.metrics)
    curves = {
        name: [
            (each.step, each.value) for each in client.get_metric_history(found.info.run_id, name)
        ]
        for name in names
    }
    folders = (None, "pictures", "made_from")
    return {
        "status": found.info.status, "params": found.data.params, "metrics": found.data.metrics,
        "curves": curves,
        "tags": {name: text for name, text in found.data.tags.items() if name not in ("ledger",
        "mlflow.runName")},
        "data": [(each.dataset.name, each.dataset.digest) for each in found.inputs.dataset_inputs],
        "files": sorted(each.path for folder in folders
                        for each in client.list_artifacts(found.info.run_id, folder)),
        "versions": [each.tags["mean_iu"]
                     for each in client.search_model_versions(f"name='fcn-{experiment}'")],
        "aliases": client.get_registered_model(f"fcn-{experiment}").aliases,
    }  # fmt: skip


def test_killed_at_30_random_moments_all_is_there_once(client, saved, monkeypatch):
    from mlflow import MlflowClient

    train("let-be")
    score("let-be")

    death, chance = Death(monkeypatch), random.Random(15)
    for name in CLIENT:
        death.watch(MlflowClient, name)
    death.watch(ledger.Ledger, "add")
    death.watch(Mark, "save")
    trained = False
    while death.count < 30:
        death.left, death.after = chance.randrange(1, 12 if trained else 25), chance.random() < 0.5
        try:
            if not trained:
                train("killed")
                trained = True
            score("killed")
        except Killed:
            trained = trained or any(
                each.status() == "FINISHED"
                for each in ledger.ledgers()
                if each.opening.experiment == "killed"
            )
    death.left = None
    if not trained:
        train("killed")
    score("killed")
    assert stored(client, "killed") == stored(client, "let-be")
    assert forward.forward_all().done == 0
