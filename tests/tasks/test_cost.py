"""What a profile will cost, against numbers worked out by hand."""

import pytest
import yaml

from fcn.spec import MEAN_BGR, ModelSpec, operations
from tasks import cost
from tasks.settings import config

RATES = {"float32": 1e12, "bfloat16": 2e12}


def settings(profile):
    shared, own = (
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (config.PARAMS.with_name(config.PROFILES), config.PARAMS)
    )
    return config.resolve({**own, "profile": profile}, shared)[1]


@pytest.mark.parametrize(("padding", "wanted"), [("caffe", 0.293e12), ("same", 0.162e12)])
def test_operations_of_the_published_net(padding, wanted):
    spec = ModelSpec("fcn8s", "vgg16", ("a", "b"), 1.0, 4096, padding, "fixed", 0.5, MEAN_BGR)
    assert operations(spec, 375, 500) == pytest.approx(wanted, rel=0.003)


def test_hours_follow_from_steps_and_rate():
    found = cost.estimate(settings("voc2011"), RATES)
    stages = {stage.name: stage for stage in found.stages}
    assert list(stages)[:2] == ["train@fcn32s", "evaluate@fcn32s"]
    # 100 000 steps of 3 x 0.293 TFLOP are 24.4 hours at 1 TFLOP/s; and 26 validations
    train, evaluate = stages["train@fcn32s"], stages["evaluate@fcn32s"]
    assert train.hours
    assert evaluate.hours
    assert 24.4 < train.hours < 26.1
    assert evaluate.hours >= 736 * 0.292 / 3600
    assert train.gpu == pytest.approx(train.hours / 40)
    assert stages["train@fcn8s"].hours == pytest.approx(train.hours)


def test_bytes_of_voc():
    found = cost.estimate(settings("voc2011"), RATES)
    assert found.download == pytest.approx(1.7e9 + 1.4e9 + 0.553e9, rel=0.01)
    assert found.unknown == ()
    # weights of 134.3 million numbers, 5 times, and a gigabyte
    assert found.memory == pytest.approx(5 * 4 * 134.26e6 + 1e9, rel=0.001)
    records = 110_000 * (8498 + 736)
    assert found.disk == pytest.approx(3.653e9 + 3.1e9 + records + 8 * 537e6, rel=0.01)


def test_files_of_this_workspace_are_measured_and_what_is_not_known_is_said(tmp_path):
    known = settings("sample")
    found = cost.estimate(known, RATES, tmp_path)
    assert found.download == 0
    assert set(found.unknown) == {"file:sample/world.tar.gz", "file:sample/vgg16_small.caffemodel"}
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "world.tar.gz").write_bytes(bytes(1000))
    found = cost.estimate(known, RATES, tmp_path)
    assert (found.download, len(found.unknown)) == (1000, 1)
    assert {stage.hours for stage in found.stages if "evaluate" in stage.name} == {None}
    said = "\n".join(cost.told(found, RATES, "sample"))
    assert "1 TFLOP/s in float32, 2 TFLOP/s in bfloat16" in said
    assert "evaluate@fcn32s       unknown" in said
    assert "40 TFLOP/s in float32 and 200 TFLOP/s in bfloat16" in said


def test_this_machine_is_measured():
    assert cost.measured("float32", 0.01) > 1e6
