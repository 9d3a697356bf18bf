"""Results of this machine beside those that git has: the same bytes, or other last digits."""

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fcn.errors import UserError, enumeration
from tasks.tracking import dvcfiles, provenance


def words(lock: Path = Path("dvc.lock")) -> str:
    """What to say where stages made other outputs than the committed `lock` has, from the same
    inputs.

    Args:
        lock: DVC's lock file in the current folder, as the last run left it.

    Returns:
        A sentence on what that means and what to do; "" where there is nothing to say.
    """
    before = provenance.git("show", f"HEAD:./{lock}")
    if not before:
        return ""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(UserError):
        (Path(folder) / lock.name).write_bytes(before)
        return _compared(dvcfiles.lock(Path(folder) / lock.name), dvcfiles.lock(lock))
    return ""


def _compared(before: Mapping[str, dvcfiles.Locked], now: Mapping[str, dvcfiles.Locked]) -> str:
    # Stages after one of these have other inputs: they say nothing new.
    names = [
        name
        for name, stage in now.items()
        if (old := before.get(name))
        and (old.cmd, old.params, old.deps) == (stage.cmd, stage.params, stage.deps)
        and old.outs != stage.outs
    ]
    if not names:
        return ""
    return (
        f"{enumeration(names)} made other bytes than the committed dvc.lock has, from the same "
        "code, parameters and data: another kind of processor adds up in another order, and the "
        "last digits differ. Both results are right. `git checkout dvc.lock metrics` keeps git "
        "clean, and the next `fcn repro` finds these results again; `git commit dvc.lock metrics` "
        "makes them the ones to compare with."
    )
