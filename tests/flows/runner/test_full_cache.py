"""DVC's cache is full: DVC says an error and ends with 0. That is a failure, and the finished model
is kept.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flows import pipeline
from flows.runner import children, workspace
from tasks.tracking import kept

STAGES = """
stages:
  train:
    foreach: [fcn8s]
    do:
      cmd: ulimit -S -f unlimited; mkdir -p models; \
cp -r .cache/checkpoints/sample-${item}-* models/${item}
      outs: ["models/${item}"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A DVC project with its cache on another disk, as it has to be: within
    one, DVC makes links.
    """
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to")
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "dvc.yaml").write_text(STAGES)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], check=True)
    with (
        (tmp_path / ".dvc/config").open("a") as config,
        tempfile.TemporaryDirectory(dir=shared) as cache,
    ):
        config.write(f"[cache]\n    dir = {cache}\n")
        config.flush()
        yield tmp_path


def test_a_finished_model_waits_until_dvc_has_it(folder, capfd):
    made = folder / ".cache/checkpoints/sample-fcn8s-0123456789abcdef"
    made.mkdir(parents=True)
    (made / "weights.npz").write_bytes(bytes(9_000_000))
    (made / "model.json").write_text("{}")
    assert kept.forget() == [], "no dvc.lock names it"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, before[1]))
    try:
        error = pipeline.dvc(["repro"], {}, lambda line: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error
    assert error.startswith(
        "DVC's cache could not take what the stage train@fcn8s made: [Errno 27] File too large: "
    )
    assert error.endswith(". Make room for it, and run this again")
    assert not workspace.is_cut_off(error), "another try would end as this one did"
    assert "md5: " in (folder / "dvc.lock").read_text(), "DVC names it all the same"
    assert kept.forget() == [], "dvc.lock names it, and the cache does not have it"

    assert pipeline.dvc(["repro"], {}, lambda line: None) is None
    cache = Path((folder / ".dvc/config").read_text().rpartition("= ")[2].strip())
    (listing,) = cache.rglob("*.dir")
    listing.chmod(0o600)
    for damaged in (b"", b"[3]"):
        whole = listing.read_bytes()
        listing.write_bytes(damaged)
        assert kept.forget() == []
        listing.write_bytes(whole)
    assert kept.forget() == [Path(*made.parts[-3:])]
    assert not made.exists()
    assert (folder / "models/fcn8s/model.json").read_text() == "{}"


LOST = "ERROR: failed to transfer 'abc' - [Errno 28] No space left on device: 'm' -> '.dvc/cache/m'"
ROOM = (
    "[Errno 28] No space left on device: 'm' -> '.dvc/cache/m'. Make room for it, and run this "
    "again"
)


@pytest.mark.parametrize(
    ("code", "lines", "error"),
    [
        (
            0,
            ["Running stage 'a':", "> python", LOST, "Running stage 'b':"],
            f"DVC's cache could not take what the stage a made: {ROOM}",
        ),
        (
            1,
            ["Running stage 'a':", LOST, "Running stage 'b':", "ERROR: failed to reproduce 'b'"],
            f"DVC's cache could not take what the stage a made: {ROOM}",
        ),
        (0, ["Pulling data for stage: 'a'", LOST, "Running stage 'a':"], None),
        (
            0,
            ["Running stage 'a':", "Pulling data for stage: 'b'", LOST, "Running stage 'b':"],
            None,
        ),
        (1, ["ERROR: no such stage"], "no such stage"),
        (
            1,
            [
                "'./dvc.lock' validation failed.",
                "",
                "required key not provided, in schema",
                "  1 x",
            ],
            "'./dvc.lock' validation failed. required key not provided, in schema",
        ),
        (1, [], "dvc failed without saying why"),
        (-9, [], "dvc was ended by SIGKILL: by somebody, or because the memory was full"),
        (0, ["Running stage 'a':", "ERROR: a word of the stage's own"], None),
    ],
)
def test_what_dvc_could_not_store_is_an_error(monkeypatch, code, lines, error):
    def follow(command, extra, say):
        for line in lines:
            say(line)
        return code

    monkeypatch.setattr(children, "follow", follow)
    assert pipeline.dvc(["repro"], {}, lambda line: None) == error
