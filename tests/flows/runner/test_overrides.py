"""Names and parameters on their way into dvc.yaml's command lines, which DVC gives to a shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fcn.cli.app import main
from fcn.errors import UserError
from flows import pipeline
from flows.runner import children, overrides, stage
from tasks.settings import config

ROOT = Path(__file__).parents[3]

SHELL = [
    "a; touch x",
    "$(touch x)",
    "`touch x`",
    "a|b",
    "a&b",
    "a\nb",
    "a b",
    "a'b",
    'a"b',
    "a>x",
    "*",
    "../x",
    "-f",
    "",
    "~",
]
FINE = ["sample", "voc2012", "8s", "my-own_1.5", "straße"]


@pytest.mark.parametrize("name", SHELL)
@pytest.mark.parametrize(
    "form",
    [
        "profile={}",
        "+variants.{}=models/vgg.npz",
        "variants.fcn8s={}",
        "+variants={{{}: models/vgg.npz}}",
    ],
)
def test_what_a_shell_would_take_for_more_than_a_name_is_refused(name, form):
    with pytest.raises(UserError, match="--set"):
        overrides.change(form.format(name))


@pytest.mark.parametrize("name", FINE)
def test_names_pass(name):
    for form in ("profile={}", "+variants.{}=models/vgg.npz", "variants.fcn8s={}", "~variants.{}"):
        overrides.change(form.format(name))


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("~variants", "variants", overrides.REMOVE),
        ("variants={fcn4s: models/vgg.npz}", "variants", {"fcn4s": "models/vgg.npz"}),
        (
            "profiles.sample.train.fcn32s.learning_rate=1e-3",
            "profiles.sample.train.fcn32s.learning_rate",
            1e-3,
        ),
        ("profiles.a.b=no", "profiles.a.b", "no"),
        ("profile=a\n", "profile", "a"),
        ("profiles.a.b=80%", "profiles.a.b", "80%"),
        ("profiles.a.b=", "profiles.a.b", None),
        # never in a command line
        (
            'profiles.a.urls=["file:///path/with space/su\'bset.tar"]',
            "profiles.a.urls",
            ["file:///path/with space/su'bset.tar"],
        ),
        ("++profiles.sample.model.mean_bgr=[1,2,3]", "profiles.sample.model.mean_bgr", [1, 2, 3]),
    ],
)
def test_values_that_reach_no_shell_may_hold_anything(change, key, value):
    assert overrides.change(change) == (key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # DVC would write into that file
        ("dvc.yaml:stages.report.cmd=touch x", "expected KEY=VALUE"),
        ("@profile=a", "expected KEY=VALUE"),
        ("profiles[a].b=1", "expected KEY=VALUE"),
        ("profiles.a.b=${oc.env:HOME}", "expected a plain value, got the interpolation"),
        ("profiles.a.b", "expected KEY=VALUE"),
        ("~profiles.a.b=1", "expected KEY=VALUE"),
        ("profiles.a.b=[1", "--set profiles.a.b, line 1: not valid YAML"),
        ("profiles.a.b=&a 1", "not valid YAML: anchors and aliases"),
        (
            "train.fcn32s.batch=2",
            "expected a key below profile, variants, profiles, recipes; did you mean "
            r"`profiles\.NAME\.train\.fcn32s\.batch`, with the name of the profile\?",
        ),
        (
            "profil=voc2011",
            "expected a key below profile, variants, profiles, recipes; did you mean `profile`",
        ),
    ],
)
def test_what_is_more_than_a_value_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        overrides.change(change)


@pytest.mark.parametrize(
    "url", ["https://me:Geheim@host/a.tar", "https://host/a.tar?access_token=Geheim"]
)
def test_a_secret_is_refused_and_not_repeated(url, capsys):
    change = f'profiles.subset.download.archives.voc.urls=["{url}"]'
    assert main(["repro", "--set", change]) == 2
    shown = "".join(capsys.readouterr())
    assert "the URL holds a" in shown
    assert "Geheim" not in shown


def test_the_command_line_refuses_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(stage, "execute", lambda *_, **__: pytest.fail("it ran"))
    assert main(["repro", "--set", "profile=a; touch x"]) == 2
    assert "--set profile: expected a name of letters" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["repro", "--cd", "/elsewhere"],
        ["repro", "-f"],
        ["repro", "a; b"],
        ["repro", "-S", "profile=sample"],
        ["exp", "run", "-S", "profile=a"],
        ["exp", "run", "-S"],
        ["exp", "run", "--temp"],
        ["stage", "add", "-n", "x", "touch x"],
        ["config", "core.analytics", "true"],
        [],
    ],
)
def test_the_flow_itself_takes_no_other_command(command, monkeypatch):
    """A deployment's parameters come from whoever reaches Prefect's API."""
    monkeypatch.setattr(children, "follow", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UserError):
        pipeline.pipeline(command)


@pytest.mark.parametrize(
    "command", [["repro"], ["repro", "train@fcn8s", "--force"], ["exp", "run", "report"]]
)
def test_what_the_pipeline_is_for_passes(command):
    overrides.check_command(command)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("profile: 'a; touch x'", "profile"),
        ("variants: {'$(touch x)': models/vgg.npz}", r"variants\.\$"),
        ("variants: {fcn8s: '`touch x`'}", r"variants\.fcn8s"),
        ("profile: [", "line 1: not valid YAML"),
    ],
)
def test_a_params_yaml_with_other_names_is_refused_before_dvc_reads_it(
    tmp_path, monkeypatch, text, where
):
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(children, "follow", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UserError, match=rf"params\.yaml(: |, ){where}"):
        pipeline.pipeline(["repro"])


@pytest.mark.parametrize("text", ["", "- a list", "variants: [a]", "first: hello", "profile: 8"])
def test_a_params_yaml_of_another_shape_is_left_to_dvc(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    overrides.check_file(tmp_path / "params.yaml")
    overrides.check_file(tmp_path / "none.yaml")


def test_why_dvc_itself_runs_what_stands_in_the_names(tmp_path):
    """The boundary that docs/explanation/security.md draws: whoever writes params.yaml commands a
    bare `dvc repro`.
    """
    (tmp_path / "params.yaml").write_text("profile: 'a; touch x'")
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: 'echo ${profile}'}}")
    own = {
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "c"),
        "DVC_SITE_CACHE_DIR": str(tmp_path / "s"),
    }
    for words in (["init", "--no-scm", "-q"], ["repro", "-q"]):
        subprocess.run(
            [sys.executable, "-m", "dvc", *words], cwd=tmp_path, env=os.environ | own, check=True
        )
    assert Path(tmp_path, "x").exists()


@pytest.mark.parametrize(
    ("profile", "variants"),
    [
        ("toy", {"fcn4s": "models/vgg.npz"}),
        ("folder", {"fcn8s": "fcn/pretrained/voc20"}),
        ("voc2012", config.PAPER),
        ("sample", config.PAPER),
    ],
)
def test_a_profile_that_is_set_brings_the_variants_that_it_can_train(
    monkeypatch, profile, variants
):
    monkeypatch.chdir(ROOT)
    before = Path("params.yaml").read_text(encoding="utf-8")
    after = overrides.changed(before, {"profile": profile})
    assert yaml.safe_load(after)["profile"] == profile
    assert yaml.safe_load(after)["variants"] == variants
    assert overrides.changed(after, {"profile": "sample"}) == before  # and back, comments and all
    # Whoever names variants gets these; those that fit stay.
    one = {"fcn32s": "models/vgg.npz"}
    shorter = overrides.changed(before, {"variants": one})
    if variants == config.PAPER:
        assert yaml.safe_load(overrides.changed(shorter, {"profile": profile}))["variants"] == one
    else:
        with pytest.raises(
            UserError,
            match=rf"does not fit the profile {profile}, .*`--set profile={profile}` writes them",
        ):
            overrides.changed(before, {"profile": profile, "variants": one})
