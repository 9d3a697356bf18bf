"""The MLflow model: what is in its folder, and what a real `mlflow models serve` answers, to
nonsense too.
"""

import ast
import base64
import io
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image

from fcn.errors import UserError
from fcn.net import surgery
from fcn.net.model import build
from fcn.predict import predictor
from fcn.spec.colours import palette
from tasks.tracking import pyfunc

ROOT = Path(__file__).parents[3]
CLASSES = ("background", "cat", "dog")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    """A narrow net that does not say the same of every pixel."""
    from fcn.spec import MEAN_BGR, ModelSpec

    spec = ModelSpec("fcn8s", "vgg16", CLASSES, 1 / 32, 8, "same", "fixed", 0.5, MEAN_BGR)
    model, draw = build(spec), np.random.default_rng(3)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            weight.assign(draw.normal(0, 1.4 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
    folder = tmp_path_factory.mktemp("models") / "fcn8s"
    folder.mkdir()
    surgery.save(model, spec, folder)
    return folder


@pytest.fixture(scope="module")
def saved(model_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("mlflow") / "model"
    pyfunc.save(model_dir, out)
    pyfunc.save(model_dir, out)  # and again over it
    return out


@pytest.fixture(scope="module")
def server(saved):
    """Address of `mlflow models serve`, started where there is no checkout."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "mlflow",
        "models",
        "serve",
        "-m",
        str(saved),
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    log = saved.parent / "server.log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            command,
            cwd=saved.parent,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while True:
            try:
                if httpx.get(f"{address}/ping").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def decoded(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def ask(server, body):
    return httpx.post(f"{server}/invocations", json=body, timeout=120)


IMAGE = np.random.default_rng(0).integers(0, 256, (37, 51, 3), np.uint8)


def test_a_real_server_answers_what_the_net_says(server, model_dir):
    exif = Image.Exif()
    exif[0x0112] = 6
    body = {
        "dataframe_records": [{"image": encoded(IMAGE)}, {"image": encoded(IMAGE, exif=exif)}],
        "params": {"opacity": 1.0},
    }
    answer = ask(server, body)
    assert answer.status_code == 200, answer.text
    upright, turned = answer.json()["predictions"]
    net = predictor.load(model_dir)
    for got, image in ((upright, IMAGE), (turned, np.rot90(IMAGE, -1))):
        found = net.predict(np.ascontiguousarray(image)).labels
        assert len(np.unique(found)) > 1
        np.testing.assert_array_equal(decoded(got["labels"]), found)
        painted = np.where((found == 0)[..., None], image, palette()[found])
        np.testing.assert_array_equal(decoded(got["overlay"]), painted)
        assert (got["width"], got["height"]) == (image.shape[1], image.shape[0])
        assert {each["name"]: each["share"] for each in got["classes"]} == {
            CLASSES[value]: round(float((found == value).mean()), 6) for value in np.unique(found)
        }


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": {"image": [encoded(IMAGE)]}},
        {"instances": [{"image": encoded(IMAGE)}]},
        {
            "dataframe_split": {"columns": ["image"], "data": [[encoded(IMAGE, "JPEG")]]},
            "params": {"opacity": None},
        },
    ],
)
def test_every_form_of_mlflows_requests(server, body):
    answer = ask(server, body)
    assert answer.status_code == 200, answer.text
    assert [each["width"] for each in answer.json()["predictions"]] == [51]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"dataframe_records": [{"image": "hello!"}]}, "image 0: expected the base64 of a JPEG or "
                                                       "PNG file, but "),
        ({"dataframe_records": [{"image": base64.b64encode(b"a text").decode()}]},
         "image 0: expected a picture"),
        ({"dataframe_records": [{"image": encoded(IMAGE)}, {"image": ""}]}, "image 1: expected the "
                                                                            "base64"),
        ({"dataframe_records": [{"image": None}]}, "as text, got NoneType"),
        ({"dataframe_records": [{"image": {"a": 1}}]}, "as text, got dict"),
        ({"dataframe_records": [{"picture": encoded(IMAGE)}]}, "Model is missing inputs ['image']"),
        ({"dataframe_records": []}, "Model is missing inputs ['image']"),
        ({"inputs": {"image": []}}, "expected at least one picture, got none"),
        ({"image": encoded(IMAGE)}, "exactly one of the input fields"),
        ([encoded(IMAGE)], "Received a list"),
        ({"inputs": {"image": [encoded(IMAGE)]}, "params": {"opacity": 3}},
         "opacity: expected a number of 0..1, got 3"),
        ({"inputs": {"image": [encoded(IMAGE)]}, "params": {"opacity": "half"}}, "'opacity'"),
    ],
)  # fmt: skip
def test_nonsense_is_answered_with_400_and_words(server, body, words):
    answer = ask(server, body)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert "stack_trace" not in answer.json()
    assert "Traceback" not in answer.text


def test_after_all_that_it_still_answers(server):
    for body, status in ((b"{", 400), (b"", 400), (b"\xff\xfe\x00", 400)):
        headers = {"content-type": "application/json"}
        assert (
            httpx.post(f"{server}/invocations", content=body, headers=headers).status_code == status
        )
    assert (
        httpx.post(
            f"{server}/invocations", content=b"x", headers={"content-type": "image/png"}
        ).status_code
        == 415
    )
    assert ask(server, {"inputs": {"image": [encoded(IMAGE)]}}).status_code == 200


def test_the_folder_is_source_and_arrays_and_complete(saved, model_dir):
    names = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert {
        "MLmodel",
        "served_model.py",
        "requirements.txt",
        "artifacts/fcn8s/weights.npz",
        "code/fcn/predict/predictor.py",
    } <= names
    assert {
        name for name in names if Path(name).suffix in (".pkl", ".pickle", ".pyc", ".joblib")
    } == set()
    description = yaml.safe_load((saved / "MLmodel").read_text())
    # which would be a pickle
    assert "python_model" not in description["flavors"]["python_function"]
    assert [each["name"] for each in yaml.safe_load(description["signature"]["inputs"])] == [
        "image"
    ]
    assert (saved / "artifacts/fcn8s/weights.npz").read_bytes() == (
        model_dir / "weights.npz"
    ).read_bytes()


def test_requirements_are_what_the_served_code_imports(saved):
    """Reads the imports of the served file and of every module of `fcn` that it leads to."""
    todo = [saved / "served_model.py", saved / "code/fcn/predict/predictor.py"]
    seen = {saved / "code/fcn/__init__.py"}  # which imports nothing before it is asked for it
    foreign = set()
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                parts = name.split(".")
                if parts[0] == "fcn":
                    below = saved / "code" / Path(*parts)
                    todo += [below.with_suffix(".py"), below / "__init__.py"]
                else:
                    foreign.add(parts[0])
    import sys

    written = {"PIL": "pillow", "annotated_types": "annotated-types", "pillow_heif": "pillow-heif"}
    needed = {written.get(name, name) for name in foreign - set(sys.stdlib_module_names)}
    assert needed - {"jax"} == set(pyfunc.REQUIREMENTS)  # imported only where Keras runs on it
    wanted = (saved / "requirements.txt").read_text().split()
    assert [each.partition("==")[0] for each in wanted] == list(pyfunc.REQUIREMENTS)
    assert all(each.partition("==")[2] for each in wanted)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(UserError, match="expected a model folder"):
        pyfunc.save(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
