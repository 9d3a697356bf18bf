"""What DVC, Prefect and MLflow cost beside the work, in processor time and by the clock, and
TensorFlow's import to compare.

    python -m tests.benchmarks.orchestration --rounds 3

A project of stages that do nothing but a task, a log line and a table in Prefect, some of them with
a run in MLflow. On a busy machine only the processor time means something; it is that of a process
and of all that it waited for, so a Prefect server and the process that tells MLflow, which outlive
them and serve all of them, are not in it: what the latter does for a whole pipeline is measured by
itself. The best of the rounds counts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.flows import conftest

STAGE = """
import sys
from pathlib import Path
from flows.runner import stage
from tasks.tracking import steps

@steps.step("work")
def work(tracked: bool) -> None:
    steps.logger().info("nothing to do")
    steps.show("table", "nothing", table=[{"a": 1}])
    if tracked:
        from tasks import tracking
        with tracking.training("fcn-nothing", "nothing", "key", params={"a": 1}, \
tags={"pipeline": "p"}) as run:
            run.metrics({"loss": 1.0}, 1)

def nothing(out: Path, tracked: bool = False, tensorflow: bool = False) -> None:
    if tensorflow:
        import tensorflow, keras
    work(tracked)
    out.write_text("done")

if __name__ == "__main__":
    sys.exit(stage.main(nothing))
"""
DVC = """
stages:
  nothing:
    foreach: [0, 1, 2, 3, 4, 5, 6, 7, 8]
    do:
      cmd: python -m nothing --out out${item}
      outs: ["out${item}"]
"""


def measured(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """(processor seconds, seconds by the clock) of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{output}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        isolated = conftest._isolated(folder) | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        }
        (folder / "pyproject.toml").write_bytes((conftest.REPO / "pyproject.toml").read_bytes())
        (folder / "nothing.py").write_text(STAGE)
        (folder / "dvc.yaml").write_text(DVC)
        (folder / "params.yaml").write_text("{}\n")  # by which `fcn` knows a workspace
        best: dict[str, tuple[float, float]] = {}

        def python(
            what: str, *words: str, before: Callable[[], object] = lambda: None, **more: str
        ) -> None:
            for _ in range(rounds):
                before()
                found = measured([sys.executable, *words], folder, isolated | more)
                best[what] = min(best.get(what, found), found)
            print(
                f"{what:58} {best[what][0]:6.2f} s of processor {best[what][1]:6.2f} s", flush=True
            )

        def forget() -> None:
            for path in folder.glob(".cache/ledger/*.json"):
                path.unlink()

        def again() -> None:
            for path in (*folder.glob("out*"), folder / "dvc.lock"):
                path.unlink(missing_ok=True)

        measured([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], folder, isolated)
        python("Python itself", "-c", "pass")
        python("import TensorFlow and Keras", "-c", "import tensorflow, keras")
        python("import Prefect and flows.runner.stage", "-c", "import flows.runner.stage")
        python("import MLflow", "-c", "from tasks.tracking import store; store.prepare()")
        stage, repro = ("-m", "nothing", "--out", "out"), ("-m", "dvc", "repro", "--no-run-cache")
        python("a stage without Prefect (its API known to be gone)", *stage, FCN_PARENT_RUN="")
        with conftest.Keeper(folder, isolated) as keeper:
            url = {"PREFECT_API_URL": keeper.says()[0]}
            python("a stage with a server running", *stage, **url)
            python("a stage with a server running, and a run in MLflow", *stage, "--tracked", **url)
            python("the same with TensorFlow", *stage, "--tracked", "--tensorflow", **url)
            telling = "from tasks.tracking import forward, store; store.prepare()"
            telling += "; forward.forward_all()"
            python("MLflow told of all these runs at once", "-c", telling, before=forget)
            python("dvc repro, 9 stages, a server running", *repro, before=again, **url)
            python("fcn repro, nothing to do, a server running", "-m", "fcn", "repro", **url)
            keeper.end()
        time.sleep(20)  # the server ends
        python(
            "fcn repro, nothing to do, one server started",
            "-m",
            "fcn",
            "repro",
            before=lambda: time.sleep(10),
        )
        (alone_cpu, alone), (cpu, clock) = (
            best["import TensorFlow and Keras"],
            best["the same with TensorFlow"],
        )
        print(
            f"a tracked stage, beside TensorFlow's import: {cpu - alone_cpu:.2f} s of processor, "
            f"{clock - alone:.2f} s"
        )


if __name__ == "__main__":
    main()
