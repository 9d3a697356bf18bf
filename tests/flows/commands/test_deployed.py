"""prefect.yaml and what it deploys, without a server; and that the files for Docker and Kubernetes
fit together.
"""

import contextlib
import importlib
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.schedules import CronSchedule
from prefect.server.schemas.core import WorkPool
from prefect.utilities.schema_tools.validation import validate

from fcn.errors import UserError
from flows import deployed, evaluate, pipeline
from flows.runner import children, runs, stage, workspace
from flows.runner import overrides as setting
from tasks.settings import config

ROOT = Path(__file__).parents[3]
DEPLOYMENTS = {
    "by-hand": deployed.run_pipeline,
    "nightly": deployed.run_pipeline,
    "one": deployed.run_stage,
    "given": deployed.evaluate_model,
}


@pytest.fixture(scope="module")
def prefect_yaml():
    return PrefectYamlModel.model_validate(yaml.safe_load((ROOT / "prefect.yaml").read_text()))


def test_every_deployment_loads_waits_its_turn_and_checks_its_parameters(prefect_yaml):
    assert [deployment.name for deployment in prefect_yaml.deployments] == list(DEPLOYMENTS)
    for deployment in prefect_yaml.deployments:
        path, name = deployment.entrypoint.split(":")
        assert (ROOT / path).is_file()
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert getattr(module, name) is DEPLOYMENTS[deployment.name]
        assert deployment.enforce_parameter_schema is True
        limit = deployment.concurrency_limit
        assert (limit.limit, limit.collision_strategy) == (1, "ENQUEUE")
        assert deployment.work_pool.name == "fcn"
        assert (
            validate(
                deployment.parameters,
                DEPLOYMENTS[deployment.name].parameters.model_dump(),
                ignore_required=True,
            )
            == []
        )
    assert deployed.run_pipeline.name == runs.PIPELINE


def test_the_schedule(prefect_yaml):
    (schedule,) = prefect_yaml.deployments[1].schedules
    assert schedule.active is True
    assert CronSchedule(cron=schedule.cron, timezone=schedule.timezone).cron == "0 2 * * *"
    assert [deployment.name for deployment in prefect_yaml.deployments if deployment.schedules] == [
        "nightly"
    ]


@pytest.mark.parametrize(
    ("flow", "given"),
    [
        (deployed.run_pipeline, {}),
        (deployed.run_stage, {"stage": "records"}),
        (deployed.evaluate_model, {"model": "m", "variant": "fcn8s", "out": "o"}),
    ],
)
def test_a_deployed_flow_that_is_stopped_is_cancelled_and_no_crash(flow, given, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt("SIGTERM")

    monkeypatch.setattr(deployed, "_reproduce", stopped)
    monkeypatch.setattr(config, "read", stopped)
    state = flow.fn(**given)
    assert (state.name, state.message) == ("Cancelled", "stopped by SIGTERM")


GOOD = [
    ("by-hand", {}),
    (
        "by-hand",
        {"profile": "voc2012", "targets": ["train@fcn16s", "report"], "force": True, "push": True},
    ),
    (
        "by-hand",
        {
            "overrides": {
                "profiles.sample.train.fcn32s.learning_rate": 1e-9,
                "a.b": "x y",
                "c.d": [1, "z", False],
            }
        },
    ),
    ("one", {"stage": "records"}),
    ("given", {"model": "/srv/models/my fcn8s", "variant": "fcn8s", "out": "theirs"}),
]
BAD = [
    ("by-hand", {"profile": "sample; rm -rf /"}, "'sample; rm -rf /' does not match"),
    ("by-hand", {"targets": ["--help"]}, "'--help' does not match"),
    ("by-hand", {"targets": ["records $(id)"]}, "'records $(id)' does not match"),
    ("by-hand", {"overrides": {"a b": 1}}, "'a b' does not match"),
    ("by-hand", {"overrides": {"+a.b": 1}}, "'+a.b' does not match"),
    (
        "by-hand",
        {"overrides": {"a.b": {"c": 1}}},
        "{'c': 1} is not of type 'boolean', 'number', 'string', 'array'",
    ),
    ("by-hand", {"force": "maybe"}, "'maybe' is not of type 'boolean'"),
    ("one", {}, "'stage' is a required property"),
    ("given", {"model": "--plots=/", "variant": "fcn8s", "out": "x"}, "'--plots=/' does not match"),
    (
        "given",
        {"model": "models/fcn8s", "variant": "fcn8s", "out": "../../x"},
        "'../../x' does not match",
    ),
]


@pytest.mark.parametrize(("name", "parameters"), GOOD)
def test_good_parameters_pass_the_server_and_the_flow(name, parameters):
    flow = DEPLOYMENTS[name]
    assert validate(parameters, flow.parameters.model_dump()) == []
    taken = flow.validate_parameters(parameters)
    assert {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in taken.items()
        if key in parameters
    } == parameters


@pytest.mark.parametrize(("name", "parameters", "words"), BAD)
def test_bad_parameters_are_refused_by_the_server_in_words(name, parameters, words):
    (error,) = validate(parameters, DEPLOYMENTS[name].parameters.model_dump())
    assert error.message.startswith(words)


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "a\nb", ["ok", "`id`\x00"]])
def test_the_flow_itself_refuses_texts_with_a_meaning(value):
    with pytest.raises(Exception, match=r"overrides\.a\.b"):
        deployed.run_pipeline.validate_parameters({"overrides": {"a.b": value}})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A workspace; the commands that would run in it, each with what params.yaml says then."""
    for name in ("params.yaml", "profiles.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    monkeypatch.chdir(tmp_path)
    ran = []
    monkeypatch.setattr(pipeline, "reproduce", lambda command: ran.append((command, config.read())))
    return ran


RATE = "profiles.voc2012.train.fcn32s.learning_rate"


def test_the_example_of_the_docs_takes_effect_for_its_run_and_is_not_left_behind(project):
    page = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    example = re.search(r"by-hand -p profile=(\w+) -p 'overrides=(.*)'", page)
    assert example
    profile, given = example.groups()
    before = Path("params.yaml").read_bytes()
    deployed._reproduce(["report"], True, {"profile": profile} | json.loads(given))
    ((command, settings),) = project
    assert command == ["repro", "report", "--force"]
    assert (settings.profile, settings.train["fcn32s"].iterations) == ("voc2012", 50_000)
    assert Path("params.yaml").read_bytes() == before
    assert not setting.BEFORE.exists()


def test_kept_changes_stay_a_line_each(project):
    deployed._reproduce([], False, {"profile": "voc2012", RATE: 3e-10}, keep=True)
    assert project[0][1] == config.read()
    lines = (ROOT / "params.yaml").read_text().splitlines()
    changed = [line for line in Path("params.yaml").read_text().splitlines() if line not in lines]
    assert changed == [
        "profile: voc2012",
        "profiles: {voc2012: {train: {fcn32s: {learning_rate: 3e-10}}}}",
    ]


def test_a_killed_runs_changes_are_taken_back_by_the_next_one_but_no_edit_of_the_users(
    project, capsys
):
    before = Path("params.yaml").read_text()

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    for edited in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setting, "restore", lambda: None)  # kill -9: nothing is done at the end
            patch.setattr(pipeline, "reproduce", kill)
            with pytest.raises(Killed):
                deployed._reproduce([], False, {"profile": "voc2012"})
        assert config.read().profile == "voc2012"
        if edited:
            Path("params.yaml").write_text(before.replace("profile: sample", "profile: ade20k"))
        deployed._reproduce([], False, {})
        said = capsys.readouterr().out
        assert (config.read().profile, "left as it is" in said) == (
            ("ade20k", True) if edited else ("sample", False)
        )
    assert [settings.profile for _, settings in project] == ["sample", "ade20k"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "smaple"}, "params.yaml: profile: expected one of sample, "),
        (
            {RATE: "fast"},
            f"params.yaml: {RATE}: expected a number, above 0 and at most 1000; got 'fast'",
        ),
        ({"variants.fcn32s": "models/vgg.npz; id"}, "params.yaml: variants: "),
    ],
)
def test_wrong_changes_are_refused_before_anything_is_written(project, changes, words):
    before = Path("params.yaml").read_bytes()
    with pytest.raises(UserError) as error:
        deployed._reproduce([], False, changes)
    assert str(error.value).startswith(words)
    assert Path("params.yaml").read_bytes() == before
    assert project == []


def test_nothing_is_written_while_another_pipeline_is_at_work(project):
    before = Path("params.yaml").read_bytes()
    with workspace.held("dvc repro"), pytest.raises(UserError, match="this workspace is busy"):
        deployed._reproduce(["report"], True, {"profile": "voc2012"})
    assert Path("params.yaml").read_bytes() == before
    assert project == []


def documents():
    return [
        document
        for document in yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())
        if document
    ]


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_the_pools_are_templates_that_prefect_takes(kind):
    template = json.loads((ROOT / f"deploy/{kind}-pool.json").read_text())
    WorkPool(name="fcn", type=kind, base_job_template=template)
    known = set(template["variables"]["properties"])
    assert set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"]))) == known


def test_the_manifests_fit_together_and_to_the_pool():
    found = {(document["kind"], document["metadata"]["name"]): document for document in documents()}
    assert len(found) == len(documents()) == 11
    assert {d["metadata"].get("namespace", "fcn") for d in documents()} == {"fcn"}
    pool = json.loads((ROOT / "deploy/kubernetes-pool.json").read_text())
    pods = [pool["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]]
    for document in documents():
        if document["kind"] in ("Deployment", "Job"):
            pods.append(document["spec"]["template"]["spec"])
        if document["kind"] == "Deployment":
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert document["spec"]["selector"]["matchLabels"] == labels
            if document["metadata"]["name"] == "prefect-server":
                assert found["Service", "prefect-server"]["spec"]["selector"] == labels
    for pod in pods:
        volumes = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.get("volumes", [])
        }
        assert all(("PersistentVolumeClaim", claim) in found for claim in volumes.values())
        assert {
            mount["name"] for each in pod["containers"] for mount in each.get("volumeMounts", [])
        } == set(volumes)
        assert pod["securityContext"]["runAsNonRoot"] is True
        if name := pod.get("serviceAccountName"):
            assert ("ServiceAccount", name) in found
    assert pool["variables"]["properties"]["namespace"]["default"] == "fcn"
    image = next(
        pod["containers"][0]["image"]
        for pod in pods[1:]
        if pod["containers"][0]["name"] == "deploy"
    )
    assert pool["variables"]["properties"]["image"]["default"] == image


def test_images_have_the_prefect_and_the_python_of_the_lock():
    version = re.search(
        r"^prefect==(\S+)", (ROOT / "requirements/pipeline.txt").read_text(), re.MULTILINE
    )
    assert version
    images = re.findall(
        r"image: prefecthq/prefect:(\S+)", (ROOT / "deploy/kubernetes.yaml").read_text()
    )
    assert images == [
        f"{version[1]}-python3.11",
        f"{version[1]}-python3.11-kubernetes",
    ]
    assert "FROM python:3.11-" in (ROOT / "deploy/Dockerfile").read_text()


def test_the_recipe_copies_files_that_are_there():
    recipe = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    steps = [line for line in recipe.splitlines() if line and not line.startswith("#")]
    assert {step.split()[0] for step in steps} <= {
        "FROM",
        "RUN",
        "ARG",
        "COPY",
        "USER",
        "ENV",
        "WORKDIR",
        "ENTRYPOINT",
        "CMD",
    }
    for kind in ("pipeline", "gpu"):
        assert (ROOT / f"requirements/{kind}.txt").is_file()
    assert re.findall(r"^COPY (\S+)", recipe, re.MULTILINE) == ["requirements"]
    assert (ROOT / "deploy/Dockerfile.dockerignore").read_text().split() == [
        "*",
        "!requirements/*.txt",
    ]


def test_an_evaluation_runs_the_stage_with_flags_that_it_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "profiles.yaml"):
        shutil.copy(ROOT / name, name)
    Path("net").mkdir()
    Path("net/model.json").touch()
    given = []

    def follow(command, extra, hear):
        given.append(command)
        return 0

    monkeypatch.setattr(children, "follow", follow)
    monkeypatch.setattr(deployed, "_tag", lambda: None)
    monkeypatch.setattr(
        pipeline, "connected", lambda: contextlib.nullcontext(({}, lambda line: None))
    )
    deployed.evaluate_model.fn("net", "fcn8s", "o")
    ((door, word, name, *flags),) = given
    assert (door, word, name) == ("fcn", "stage", "evaluate")
    parsed = stage.command_line(evaluate.evaluate).parse_args(flags)
    assert (parsed.variant, parsed.model, parsed.registry) == ("fcn8s", Path("net"), False)
    assert parsed.metrics == Path("reports/evaluations/o.json")
