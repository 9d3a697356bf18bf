"""The evaluated models in MLflow's registry: `fcn-<profile>`, one version per model, and which of
them is the best.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.tracking import store
from tasks.tracking.entries import Register
from tasks.tracking.run import Run

CHAMPION = "champion"
"""The alias of the best version; each variant's newest version has the variant's name as its alias.
"""
SHA = "model.sha256"
"""The tag by which a model is known again; MLflow's runs have it, too."""
SCORED = "scored"
"""The tag with the time, in ms, of the score."""


def register(
    run: Run,
    profile_name: str,
    variant: str,
    model_dir: Path,
    mean_iu: float,
    split: str,
    dataset: str,
    model_sha256: str,
) -> None:
    """Makes a scored model a version of the registered model `fcn-<profile>`, unless it is one:
    then its tags are renewed.

    The pyfunc, which holds the weights, is copied to MLflow's artifacts as a logged model of the
    run. The variant's alias moves to a new version. `champion` is the best of those scored on the
    present data, see `champion`.

    Args:
        run: the run of the model, still open. Without a working store the model waits in the
            ledger, as a hard link.
        profile_name: e.g. `sample`.
        variant: e.g. `fcn8s`.
        model_dir: the model folder.
        mean_iu: the model's headline score, 0..1.
        split: what it was scored on, e.g. `seg11valid`.
        dataset: digest of that data.
        model_sha256: digest of the weights, hexadecimal.
    """
    name = "fcn-" + store.plain(profile_name).replace("/", "_")
    tags = {
        "variant": variant,
        "mean_iu": f"{mean_iu:.6f}",
        "split": split,
        "dataset": dataset,
        SHA: model_sha256,
    }
    run.register(name, model_dir, tags)


def enter(client: Any, run_id: str, entry: Register, model_dir: Path) -> str:
    """What `register` does, with MLflow. Twice is once, but for a logged model that broke off."""
    name, tags = entry.model, {**entry.tags, SCORED: str(entry.time)}
    variant = tags["variant"]
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    versions = {
        int(version.version): dict(version.tags)
        for version in client.search_model_versions(f"name='{name}'")
    }
    number = max((n for n, known in versions.items() if known.get(SHA) == tags[SHA]), default=None)
    if number is None:
        number = _new_version(client, run_id, name, model_dir, tags)
        versions[number] = tags
    elif _time(versions[number]) <= entry.time:  # else it was scored again since
        for key, value in tags.items():
            if versions[number].get(key) != value:
                client.set_model_version_tag(name, str(number), key, value)
        versions[number] = tags
    aliases = client.get_registered_model(name).aliases
    newest = max(n for n, known in versions.items() if known.get("variant") == variant)
    if int(aliases.get(variant, 0)) < newest:
        client.set_registered_model_alias(name, variant, str(newest))
    before = int(aliases[CHAMPION]) if aliases.get(CHAMPION) else None
    after = champion(versions, number, before)
    if after != before:
        client.set_registered_model_alias(name, CHAMPION, str(after))
    return f"{name}, version {number}; {_words(versions, before, after)}"


def champion(versions: Mapping[int, Mapping[str, str]], scored: int, before: int | None) -> int:
    """Which version is the best on the present data: the split of the data set that was scored
    last.

    Scores on different data are never compared, so other data begin a new competition.

    Args:
        versions: the tags of each version.
        scored: the version whose score has come in; of versions scored at the same time the last
            one.
        before: the version that was the best so far; None, or one that is not there any more: there
            is none.

    Returns:
        The version with the highest mean IU on these data (of equals the oldest); `before`, if that
        is as good.
    """
    last = max(versions, key=lambda number: (_time(versions[number]), number == scored))
    rivals = [
        number
        for number, tags in sorted(versions.items())
        if _judged_on(tags) == _judged_on(versions[last])
    ]
    best = max(rivals, key=lambda number: float(versions[number]["mean_iu"]))
    as_good = before in rivals and float(versions[best]["mean_iu"]) <= float(
        versions[before]["mean_iu"]
    )
    return before if before is not None and as_good else best


def _judged_on(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    return tags.get("split"), tags.get("dataset")


def _time(tags: Mapping[str, str]) -> int:
    return int(tags.get(SCORED, 0))


def _words(versions: Mapping[int, Mapping[str, str]], before: int | None, after: int) -> str:
    tags = versions[after]
    which = f"version {after} ({tags.get('variant')}, mean IU {tags.get('mean_iu')})"
    if after == before:
        return f"{CHAMPION} stays {which}"
    if (
        before is not None
        and before in versions
        and _judged_on(versions[before]) != _judged_on(tags)
    ):
        split, dataset = _judged_on(versions[before])
        which += (
            f", the best on the present data; version {before} was scored on {split} of data "
            f"set {dataset}"
        )
    return f"{CHAMPION} is now {which}"


def _new_version(
    client: Any, run_id: str, name: str, model_dir: Path, tags: Mapping[str, str]
) -> int:
    """Keeps the pyfunc as a logged model, which is what MLflow 3 shows beside a run, and enters
    that.
    """
    from mlflow.entities import LoggedModelOutput

    from tasks.tracking import pyfunc  # loads mlflow.pyfunc, and is not needed for a known model

    experiment = client.get_run(run_id).info.experiment_id
    with tempfile.TemporaryDirectory() as folder:
        pyfunc.save(model_dir, Path(folder) / "model")
        logged = client.create_logged_model(
            experiment, tags["variant"], run_id, dict(tags)
        ).model_id
        client.log_model_artifacts(logged, f"{folder}/model")
    client.finalize_logged_model(logged, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged, 0)])
    number = int(
        client.create_model_version(
            name, f"models:/{logged}", run_id, dict(tags), model_id=logged
        ).version
    )
    # As `mlflow.register_model` does, which cannot be told its store: the link from the logged
    # model to its version.
    client.set_logged_model_tags(
        logged, {"mlflow.modelVersions": json.dumps([{"name": name, "version": str(number)}])}
    )
    return number
