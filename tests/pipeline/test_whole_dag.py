"""The whole DAG as a user runs it, through all three ways, on the embedded sample."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess

import numpy as np
import psutil
import pytest
import yaml

from tests.living import living

VARIANTS = ("fcn32s", "fcn16s", "fcn8s")
STAGES = (
    "settings", "download", "convert_vgg", "records", *(f"train@{v}" for v in VARIANTS),
    *(f"evaluate@{v}" for v in VARIANTS), "report",
)  # fmt: skip
SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")


def started(output: str) -> set[str]:
    return {stage for stage in STAGES if f"Running stage '{stage}'" in output}


@pytest.fixture(scope="module")
def first(project):
    """The parent flow's run, and the lock that it left."""
    done = project.run("python", "-m", "fcn", "repro", "--verbose")
    assert done.returncode == 0, done.stdout
    return done.stdout, (project.folder / "dvc.lock").read_bytes()


def test_every_stage_leaves_its_outputs(project, first):
    output, _ = first
    assert started(output) == set(STAGES)
    report = json.loads((project.folder / "reports/convert_vgg.json").read_text())
    assert {row["layer"] for row in report["weights"]} >= {
        "conv1_1",
        "conv5_3",
        "fc6",
        "fc7",
        "fc8",
    }
    for variant in VARIANTS:
        assert {p.name for p in (project.folder / "models" / variant).iterdir()} == {
            "weights.npz", "model.json", "history.csv", "validation.csv",
        }  # fmt: skip
        metrics = json.loads((project.folder / f"metrics/{variant}.json").read_text())
        assert all(0 < metrics[name] < 1 for name in SCORES)
    page = (project.folder / "report/index.html").read_text()
    for variant in VARIANTS:
        metrics = json.loads((project.folder / f"metrics/{variant}.json").read_text())
        assert f"{metrics['mean_iu']:.4f}" in page
    assert not re.search(r"""(src|href)=["']?http|url\(["']?http|@import""", page), (
        "the page fetches nothing"
    )
    assert not list((project.folder / ".cache/checkpoints").glob("*")), (
        "checkpoints of finished trainings are removed"
    )


def test_training_says_its_device_and_its_progress(first):
    output, _ = first
    assert "training fcn32s for 4 iterations on CPU" in output
    assert "fcn8s: 4/4 iterations" in output


def test_no_library_warns(first):
    assert re.findall(r".*[a-z]Warning: .*", first[0]) == []


def test_the_models_are_rows_of_one_plain_table(project, first):
    with sqlite3.connect(project.folder / "mlflow.db") as database:
        named = (
            "select value, t.run_uuid from tags t join runs using (run_uuid) where key = "
            "'variant' and status = 'FINISHED'"
        )
        runs = dict(database.execute(named))
        assert set(runs) == set(VARIANTS)
        for variant, run in runs.items():
            metrics = json.loads((project.folder / f"metrics/{variant}.json").read_text())
            logged = dict(
                database.execute("select key, value from latest_metrics where run_uuid = ?", (run,))
            )
            assert {name: logged[name] for name in SCORES} == {
                name: metrics[name] for name in SCORES
            }
            assert "iu/background" in logged
            assert "loss" in logged
        tags = database.execute(
            "select key, value from tags where key in ('pipeline', 'mlflow.parentRunId')"
        ).fetchall()
        assert len(tags) == 3, "one pipeline tag each, no parent"
        assert len({value for _, value in tags}) == 1
        query = (
            "select run_uuid, count(*) from tags where key not like 'mlflow.%' group by run_uuid"
        )
        assert all(count <= 12 for _, count in database.execute(query))
        notes = [
            note
            for (note,) in database.execute(
                "select value from tags where key = 'mlflow.note.content'"
            )
        ]
        assert any(
            note.startswith("fcn8s of the profile sample, trained for 4 iterations with seed ")
            for note in notes
        ), notes


def test_no_output_names_this_machine(project, first):
    for path in (
        "models",
        "metrics",
        "plots",
        "report",
        "reports",
        "dvc.lock",
        "data/records/index.json",
    ):
        target = project.folder / path
        for file in target.rglob("*") if target.is_dir() else [target]:
            assert not file.is_file() or str(project.folder).encode() not in file.read_bytes(), file


def test_a_second_run_does_nothing(project, first):
    done = project.run("python", "-m", "fcn", "repro")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"Nothing to do: {len(STAGES)} stages are up to date."
    assert [line.split()[0] for line in lines[1:]] == ["%", *VARIANTS, "Report:", "Next:"]
    assert (project.folder / "dvc.lock").read_bytes() == first[1]


@pytest.mark.parametrize(
    ("path", "rerun"),
    [
        ("tasks/report/report.html", {"report"}),
        ("flows/train.py", set()),
        ("fcn/monitor/health.py", set()),
    ],
)
def test_a_change_to_the_report_the_wiring_or_the_logging_retrains_nothing(
    project, first, path, rerun
):
    file = project.folder / path
    before = file.read_text()
    try:
        file.write_text(before + ("\n<!-- -->\n" if file.suffix == ".html" else "\n# a comment\n"))
        planned = project.run("dvc", "repro", "--dry").stdout
    finally:
        file.write_text(before)
    assert started(planned) == rerun, planned


def test_a_changed_rate_reruns_its_stage_and_what_follows_and_going_back_restores(project, first):
    before = project.change({"profiles.sample.train.fcn16s.learning_rate": 2e-8})
    done = project.run("dvc", "repro", FCN_PARENT_RUN="")
    changed = {
        "settings",
        "train@fcn16s",
        "train@fcn8s",
        "evaluate@fcn16s",
        "evaluate@fcn8s",
        "report",
    }
    assert started(done.stdout) == changed, done.stdout
    assert (project.folder / "dvc.lock").read_bytes() != first[1]
    project.write_params(before)
    back = project.run("dvc", "repro", FCN_PARENT_RUN="")
    assert "Stage 'train@fcn16s' is cached - skipping run" in back.stdout, back.stdout
    assert (project.folder / "dvc.lock").read_bytes() == first[1]


def test_bare_dvc_repro_by_force_ends_in_the_same_bytes(project, first):
    done = project.run("dvc", "repro", "--force")
    assert done.returncode == 0, done.stdout
    assert (project.folder / "dvc.lock").read_bytes() == first[1]


# A network whose only way out leads to nobody, as does every name: whoever asked there would wait.
# The last word is how many packets left, before and after one that shows that they are counted.
NOWHERE = """
set -e
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
ip link set lo up
ip link add out type veth peer name nobody
ip addr add 10.9.9.1/24 dev out
ip link set out up
ip link set nobody up
ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:01 dev out
ip route add default via 10.9.9.2
echo nameserver 10.9.9.2 > resolv.conf
mount --bind resolv.conf /etc/resolv.conf
left() { awk '/out:/ { print $11 }' /proc/net/dev; }
"$@"
sleep 3 # for what goes on behind
before=$(left)
python -c "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('10.8.8.8', 9))"
echo "packets: $before $(left)"
"""


def test_nothing_goes_to_the_internet_nor_waits_for_it(project, first):
    """Not even where nobody said so: neither of the Makefile's variables is set."""
    nowhere = ["unshare", "-n", "-m", "sh", "-c", NOWHERE, "sh"]
    if os.geteuid() != 0 or project.run(*nowhere, "true").returncode:
        pytest.skip("no network can be made here")
    unsaid = {
        name: value
        for name, value in project.environment.items()
        if name not in ("DVC_NO_ANALYTICS", "DO_NOT_TRACK")
    }
    for command in (
        ["dvc", "repro", "-f", "-s", "evaluate@fcn8s", "report"],
        ["python", "-m", "fcn", "repro"],
    ):
        done = subprocess.run(
            [*nowhere, *command], cwd=project.folder, env=unsaid, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "packets: 0 1"
    assert (project.folder / "dvc.lock").read_bytes() == first[1]


def test_seeds_train_nets_of_their_own_and_leave_the_results_alone(project, first):
    params = project.change({"variants": {"fcn32s": "models/vgg.npz"}})
    try:
        done, again = (project.run("python", "-m", "fcn", "seeds", "--n", "2") for _ in range(2))
    finally:
        project.write_params(params)
    assert (done.returncode, again.returncode) == (0, 0), done.stdout + again.stdout
    assert len(re.findall(r"@fcn32s seed [12] begins\n", done.stdout)) == 4
    assert " begins\n" not in again.stdout
    folders = [project.folder / f".cache/seeds/sample/{seed}" for seed in (1, 2)]
    one, two, own = (
        (folder / "models/fcn32s/weights.npz").read_bytes() for folder in (*folders, project.folder)
    )
    assert project.resolved()["train"]["fcn32s"]["seed"] == 1
    assert one == own != two
    scores = [
        json.loads((folder / "metrics/fcn32s.json").read_text())["mean_iu"] for folder in folders
    ]
    summed = json.loads((project.folder / "reports/seeds.json").read_text())["variants"]["fcn32s"][
        "mean_iu"
    ]
    assert summed["values"] == scores
    assert summed["mean"] == pytest.approx(sum(scores) / 2)
    assert summed["sd"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    # `settings` ran, since the variants are others; nothing else did.
    now, before = (
        yaml.safe_load(lock)["stages"]
        for lock in ((project.folder / "dvc.lock").read_bytes(), first[1])
    )
    assert {**now, "settings": None} == {**before, "settings": None}


def interrupted(project, *command, by=signal.SIGINT):
    """Starts a command, and sends a signal to its process group, as a terminal does, once the
    training is under way.

    Under a shell that stays above the command that it runs, and dies of the signal at once: DVC
    takes $SHELL, else /bin/sh.

    Returns its exit code and output, and the processes below it that live on, but for Prefect's
    server and the process that tells MLflow.
    """
    with subprocess.Popen(
        command, cwd=project.folder, env=project.environment | {"SHELL": "/bin/sh"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        output = ""
        while " iterations, " not in output.rpartition("fcn32s: ")[2]:
            line = process.stdout.readline()
            assert line, output
            output += line
        below = psutil.Process(process.pid).children(recursive=True)
        assert any({"stage", "train"} <= {*child.cmdline()} for child in below)
        # The servers' processes outlive a command.
        others = {"flows.runner.server", "tasks.tracking"}
        below = [child for child in below if others.isdisjoint(child.cmdline())]
        os.killpg(process.pid, by)
        output += process.stdout.read()
    return process.returncode, output, living(below)


def test_ctrl_c_keeps_a_checkpoint_ends_all_runs_and_locks_nothing(project, first):
    given = {"iterations": 100_000, "log_every": 1, "validate_every": 100_000}
    project.change({f"profiles.sample.train.fcn32s.{key}": value for key, value in given.items()})
    steps: list[int] = []
    for command, wanted in (
        (("dvc", "repro", "train@fcn32s"), 255),
        (("python", "-m", "fcn", "repro", "--verbose", "train@fcn32s"), 130),
    ):
        code, output, alive = interrupted(project, *command)
        assert code == wanted, output
        assert re.search(r"the checkpoint of iteration \d+ of 100000 is kept", output)
        assert "failed to reproduce 'train@fcn32s'" in output
        assert "exited with 130" in output
        assert "Traceback" not in output
        assert alive == []
        assert ("going on from .cache/checkpoints/sample-fcn32s-" in output) == bool(steps)
        (checkpoint,) = (project.folder / ".cache/checkpoints").glob("*.npz")
        with np.load(checkpoint) as arrays:
            steps.append(int(arrays["optimizer/0"]))
        assert project.run("python", "-m", "fcn", "sync").returncode == 0
        with sqlite3.connect(project.folder / "mlflow.db") as database:
            runs = database.execute(
                "select name, status from runs where status != 'FINISHED'"
            ).fetchall()
        ((name, status),) = runs
        assert (name.startswith("fcn32s · sample · seed "), status) == (True, "KILLED"), (
            "one run, which goes on"
        )
        with sqlite3.connect(project.folder / ".prefect/prefect.db") as database:
            flows = database.execute(
                "select name, state_type from flow_run order by created desc limit 2"
            ).fetchall()
            open_runs = [
                database.execute(
                    f"select name from {kind} where state_type not in ('COMPLETED', 'FAILED', "
                    "'CRASHED', 'CANCELLED')"
                ).fetchall()
                for kind in ("flow_run", "task_run")
            ]
        assert flows == [("train@fcn32s", "CANCELLED"), ("dvc repro train@fcn32s", "CANCELLED")]
        assert open_runs == [[], []]
    status = project.run("dvc", "status", "train@fcn32s")
    assert status.returncode == 0, status.stdout
    assert "train.fcn32s" in status.stdout
    assert 0 < steps[0] < steps[1] < 100_000


def test_interrupted_and_killed_below_dvc_a_training_ends_in_the_bytes_of_one_that_was_let_be(
    project, first
):
    steps = {"iterations": 200, "log_every": 1, "validate_every": 200}
    project.change({f"profiles.sample.train.fcn32s.{key}": value for key, value in steps.items()})

    def weights():
        return yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]["train@fcn32s"][
            "outs"
        ]

    done = project.run("dvc", "repro", "train@fcn32s")
    assert done.returncode == 0, done.stdout
    let_be, again = weights(), ("dvc", "repro", "-f", "-s", "train@fcn32s")
    (project.folder / "dvc.lock").write_bytes(first[1])
    for model in (project.folder / ".cache/checkpoints").glob("*[!z]"):
        # which the next stage would do; without it nothing would be trained again
        shutil.rmtree(model)
    for by, wanted in ((signal.SIGINT, 255), (signal.SIGKILL, -signal.SIGKILL)):
        code, output, _ = interrupted(project, *again, by=by)
        assert code == wanted, output
        assert ("going on from .cache/checkpoints/sample-fcn32s-" in output) == (
            by == signal.SIGKILL
        )
    done = project.run(*again)
    assert done.returncode == 0, done.stdout
    assert "going on from .cache/checkpoints/sample-fcn32s-" in done.stdout
    assert weights() == let_be
    assert not list((project.folder / ".cache/checkpoints").glob("*.npz"))
