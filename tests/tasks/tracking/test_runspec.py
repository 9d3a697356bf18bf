"""What a run is: its name, its experiment, its parameters and tags, and itself in words."""

import pytest

from tasks.settings import config
from tasks.tracking import RunSpec


@pytest.fixture(scope="module")
def settings(request):
    return config.read(request.config.rootpath / "params.yaml")


@pytest.mark.parametrize(
    ("which", "apart", "name", "experiment", "tags"),
    [
        ({}, False, "sample-fcn8s", "fcn-sample", {"seed": "1"}),
        ({"seed": 0}, True, "sample-fcn8s-seed0", "fcn-sample-seeds", {"seed": "0"}),
        (
            {"fold": "2/5"},
            True,
            "sample-fcn8s-fold2of5",
            "fcn-sample-folds",
            {"seed": "1", "fold": "2/5"},
        ),
    ],
)
def test_what_it_is_called(settings, which, apart, name, experiment, tags):
    wanted = RunSpec(settings, "fcn8s", **which)
    assert (wanted.apart, wanted.name, wanted.experiment) == (apart, name, experiment)
    tags |= {"pipeline": wanted.tags({"git.commit": "c1"})["pipeline"], "git.commit": "c1"}
    assert wanted.tags({"git.commit": "c1"}) == tags
    assert wanted.params["train"]["seed"] == wanted.recipe.seed == int(tags["seed"])
    assert wanted.params["train"]["iterations"] == settings.train["fcn8s"].iterations
    assert wanted.params["model"]["backbone"] == "vgg16"
    assert str(wanted) == (
        "fcn8s of the profile sample, trained for "
        f"{settings.train['fcn8s'].iterations} iterations with seed {tags['seed']}"
    )
