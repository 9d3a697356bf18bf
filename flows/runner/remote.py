"""A clone with a DVC remote takes from there what others have made, in place of making it again."""

import re
from collections.abc import Iterator
from pathlib import Path

from tasks.tracking import dvcfiles

LENIENT = ("--pull", "--allow-missing")
OWN = Path("data/own")
"""One's own data, which `dvc add` may version: DVC's pipelines do not bring them by themselves."""
_VALUE = re.compile(r"\\\$\\\{[^}]*\\\}")  # what `re.escape` makes of DVC's ${profile}


def is_whole() -> bool:
    """Whether all outputs are there that dvc.lock knows: DVC records no experiment otherwise."""
    return all(Path(path).exists() for path in _outputs())


def options() -> list[str]:
    """What to tell `dvc repro` besides.

    Returns:
        `--pull` where an output that dvc.lock knows is not there; `--allow-missing` where only such
        are not there that no remote holds (`cache: false`: downloads), so that nobody downloads for
        stages that have nothing to do; nothing where all is there, so that nothing waits for a
        network, or where there is no default remote.
    """
    missing = [path for path in _outputs() if not Path(path).exists()]
    if not missing or not _has_default():
        return []
    elsewhere = re.compile("|".join(_uncached()) or r"(?!)")
    return ["--allow-missing" if all(elsewhere.fullmatch(path) for path in missing) else "--pull"]


def lacking() -> list[str]:
    """The files of `dvc add` below `OWN` whose data are not here: others have pushed them."""
    added = sorted(OWN.rglob("*.dvc"))
    return [str(path) for path in added if not path.with_suffix("").exists()]


def _outputs() -> Iterator[str]:
    """The paths of all outputs in dvc.lock."""
    for stage in dvcfiles.lock().values():
        for out in stage.outs:
            yield out.path


def _uncached() -> Iterator[str]:
    """Patterns of the outputs that dvc.yaml keeps out of DVC's cache, and so out of any remote."""
    for stage in dvcfiles.stages().values():
        body = stage.do or stage
        for out in (*body.outs, *body.metrics, *body.plots):
            if isinstance(out, dict):
                for path, flags in out.items():
                    if (flags or {}).get("cache") is False:
                        yield _VALUE.sub("[^/]+", re.escape(path))


def _has_default() -> bool:
    """Tell whether DVC has a default remote, by any of its configuration files."""
    return dvcfiles.asked("config", "core.remote") != ""
