from pathlib import Path

import pytest

from fcn.errors import UserError
from flows import config

ROOT = Path(__file__).parents[2]


def test_the_committed_file_is_read_from_the_current_folder(monkeypatch):
    monkeypatch.chdir(ROOT)
    name, profile, variants = config.read()
    assert (name, profile.records.classes[0]) == ("sample", "background")
    assert config.read(ROOT / "params.yaml") == (name, profile, variants)


def test_no_file(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError) as error:
        config.read(path)
    assert str(error.value) == f"{path}: no such file; run this from the project's root"


def test_broken_yaml_is_located(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("profile: sample\nprofiles: {sample: [1, 2\nmore: 3\n")
    with pytest.raises(UserError, match=r"line 3") as error:
        config.read(path)
    assert str(error.value).startswith(f"{path}: not valid YAML: ")


def test_python_objects_in_yaml_are_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("profile: !!python/object/apply:os.getcwd []\nprofiles: {}\n")
    with pytest.raises(UserError, match="not valid YAML: could not determine a constructor"):
        config.read(path)


@pytest.mark.parametrize("text", ["1e-10", "1.e-10", "+1E-10", "1.0e-10"])
def test_a_number_with_an_exponent_is_one_as_for_dvc(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(f"rate: {text}\nname: '1e-10'\nother: 1e\n")
    assert config.plain(path) == {"rate": 1e-10, "name": "1e-10", "other": "1e"}


def test_errors_name_this_file(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("profile: voc\nvariants: {}\nprofiles: {sample: {}, full: {}}\n")
    with pytest.raises(UserError) as error:
        config.read(path)
    assert str(error.value) == f"{path}: profile: expected one of sample, full; got 'voc'"
