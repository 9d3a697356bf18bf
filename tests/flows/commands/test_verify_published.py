"""`fcn verify` from end to end, over http: random nets fail, and pass once their own scores are
expected.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn.datasets import voc
from fcn.published import nets
from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[3]
from published_nets import FILES, net, write  # noqa: E402

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")


@pytest.fixture(scope="module")
def server(tmp_path_factory, over_http):
    """A folder and the URL under which it is published: the four nets and a small tar in VOC's
    layout.
    """
    folder = tmp_path_factory.mktemp("server")
    for seed, (variant, name) in enumerate(FILES.items()):
        write(folder / name, net(variant, seed=seed))
    rng = np.random.default_rng(0)
    with tarfile.open(folder / "voc.tar", "w") as tar:

        def add(name, image, kind):
            buffer = io.BytesIO()
            image.save(buffer, kind)
            member = tarfile.TarInfo(f"VOCdevkit/VOC2012/{name}")
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)

        for number, (width, height) in enumerate([(50, 37), (40, 60), (33, 33)]):
            add(
                f"JPEGImages/2011_{number}.jpg",
                Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)),
                "JPEG",
            )
            label = np.kron(rng.choice([0, 5, 20, 255], (2, 2)), np.ones((30, 25), int))[
                :height, :width
            ].astype(np.uint8)
            label = np.pad(
                label,
                ((0, height - label.shape[0]), (0, width - label.shape[1])),
                constant_values=255,
            )
            add(f"SegmentationClass/2011_{number}.png", Image.fromarray(label), "PNG")
        add("JPEGImages/other.jpg", Image.new("RGB", (9, 9)), "JPEG")
    (folder / "listed.txt").write_text("2011_0\n2011_2\n2011_1\n")
    with over_http(folder) as url:
        yield folder, url


@pytest.fixture(scope="module")
def facts(server):
    """The facts as shipped, but for the places of the files."""
    folder, url = server
    shipped = json.loads(nets.FACTS.read_text())
    for variant, entry in shipped["nets"].items():
        assert entry["weights"]["urls"][0].rsplit("/", 1)[1] == FILES[variant]
        digest = hashlib.sha256((folder / FILES[variant]).read_bytes()).hexdigest()
        entry["weights"] = {"urls": [f"{url}/{FILES[variant]}"], "checksums": [f"sha256:{digest}"]}
    return shipped | {
        "images": {"urls": [f"{url}/voc.tar"], "checksums": []},
        "ids": str(folder / "listed.txt"),
    }


def verify(folder, facts, *options):
    """Runs the command without Prefect's server, which has no say in this."""
    (folder / "facts.json").write_text(json.dumps(facts))
    for mark in ("params.yaml", "dvc.yaml"):
        (folder / mark).touch()
    command = [
        sys.executable,
        "-m",
        "fcn",
        "verify",
        "--facts",
        "facts.json",
        "--raw",
        "raw",
        "--models",
        "models",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FCN_PARENT_RUN": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return subprocess.run(
        [*command, "--report", "report.json", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_random_nets_fail_and_pass_once_their_own_scores_are_expected(tmp_path, facts):
    done = verify(tmp_path, facts)
    assert done.returncode == 1, done.stderr
    assert (
        "error: fcn32s, fcn16s, fcn8s, fcn8s_atonce: more than 0.1 points off the published scores"
    ) in done.stderr
    rows = [line for line in done.stderr.splitlines() if line.startswith("| fcn")]
    assert len(rows) == 4
    assert all(row.split("|")[-2].strip() == "FAIL" for row in rows)
    assert "(63.63)" in rows[0]
    assert "Traceback" not in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["images"] == 3
    assert not any(entry["passed"] for entry in report["nets"].values())
    assert report["nets"]["fcn16s"]["published"] == dict(
        zip(SCORES, [91.00, 78.07, 65.01, 84.26], strict=True)
    )
    unpacked = sorted(path.name for path in (tmp_path / "raw" / "images").rglob("*.jpg"))
    assert unpacked == ["2011_0.jpg", "2011_1.jpg", "2011_2.jpg"]

    own = {**facts, "nets": {**facts["nets"]}}
    for variant, entry in report["nets"].items():
        own["nets"][variant] = {
            **facts["nets"][variant],
            "scores": [round(entry["measured"][name], 2) for name in SCORES],
        }
    done = verify(tmp_path, own)
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    assert output.count("| PASS ") == 4
    assert "FAIL" not in output
    assert all(
        entry["passed"]
        for entry in json.loads((tmp_path / "report.json").read_text())["nets"].values()
    )


def test_one_net_that_is_another_is_named(tmp_path, facts):
    # no aliases
    nets = {
        name: json.loads(json.dumps(facts["nets"]["fcn8s"])) for name in ("fcn8s_atonce", "fcn8s")
    }
    done = verify(tmp_path, {**facts, "nets": nets}, "--only", "fcn8s_atonce")
    assert done.returncode == 1
    assert (
        "fcn8s-heavy-pascal.caffemodel: wanted fcn8s_atonce, but its layers are those of fcn8s"
    ) in done.stderr


def test_the_shipped_facts_are_those_of_the_reference(tmp_path):
    shipped = json.loads(nets.FACTS.read_text())
    assert {name: entry["scores"][2] for name, entry in shipped["nets"].items()} == {
        "fcn32s": 63.63, "fcn16s": 65.01, "fcn8s": 65.51, "fcn8s_atonce": 65.40,
    }  # fmt: skip
    ids = (ROOT / shipped["ids"]).read_bytes()
    assert hashlib.sha256(ids).hexdigest().startswith("4ca991bd")
    assert len(set(ids.split())) == 736
    assert shipped["tolerance"] == 0.1
    own, shared = (yamlfile.plain(ROOT / name) for name in ("params.yaml", "profiles.yaml"))
    params = config.resolve({**own, "profile": "voc2012"}, shared)[0].data
    assert shipped["images"] == params["download"]["archives"]["voc"]
    assert tuple(shipped["class_names"]) == voc.CLASSES
    assert shipped["root"] == params["records"]["roots"]["voc"]
