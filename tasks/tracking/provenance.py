"""What a run was made from, as tags."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tasks.tracking import dvcfiles


def tags(
    inputs: Iterable[str] = (), finished: str | None = None, lock: Path = Path("dvc.lock")
) -> dict[str, str]:
    """What a run was made from, as tags; to be called in the project's root.

    While a stage runs, `dvc.lock` holds the stages before it, but of the stage itself at most what
    it was at its last run. So a training passes `inputs`, and the evaluation, which comes after it,
    `finished`.

    Args:
        inputs: paths that the running stage reads, e.g. `data/records`. Those that are outputs of
            earlier stages get a tag.
        finished: a stage that is done, e.g. `train@fcn32s`: all its dependencies and outputs get a
            tag.
        lock: DVC's lock file.

    Returns:
        `git.commit`: the commit, `none` outside git.
        `git.diff.sha256`: digest of the local changes of the tracked sources in and below the
            current directory, `none`
        if there are none. What the pipeline itself writes (`lock` and the outputs named in it)
        counts for no change; a file that git does not track is not seen.
        `dvc.dep.<path>`, `dvc.out.<path>`: DVC's hashes.
    """
    written = outputs(lock)
    hashes = {f"dvc.dep.{path}": written[path] for path in inputs if path in written}
    if stage := dvcfiles.lock(lock).get(finished or ""):
        for kind, entries in (("dep", stage.deps), ("out", stage.outs)):
            hashes |= {f"dvc.{kind}.{entry.path}": entry.digest for entry in entries}
    # Spelled out, because the user's git settings must not decide the digest.
    how = (
        "--binary --full-index --no-ext-diff --no-textconv --no-color --no-renames "
        "--src-prefix=a/ --dst-prefix=b/ -U3"
    )
    own = (lock.as_posix(), *written)
    exclude = [f":(exclude,literal){path}" for path in own if not path.startswith(("/", "../"))]
    diff = git("diff", *how.split(), "--diff-algorithm=myers", "HEAD", "--", ".", *exclude)
    return {
        "git.commit": git("rev-parse", "--verify", "HEAD").decode().strip() or "none",
        "git.diff.sha256": hashlib.sha256(diff).hexdigest() if diff else "none",
        **hashes,
    }


def outputs(lock: Path = Path("dvc.lock")) -> dict[str, str]:
    """DVC's hashes of the outputs of all stages by path; nothing where there
    is no lock file yet.
    """
    return {out.path: out.digest for stage in dvcfiles.lock(lock).values() for out in stage.outs}


def git(*arguments: str) -> bytes:
    """What git prints; nothing where it fails: without git, outside a repository, or without a
    commit.
    """
    # never in the way of the user's own git command
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, env=environment, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""
