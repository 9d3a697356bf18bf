import os

# Before any import of TensorFlow: no chatter, and no TensorFloat-32 on a GPU, whose 10 bits would
# not do for the values here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")

import contextlib
import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REALDATA = Path(__file__).parents[2] / "shared" / "realdata"


LONGEST = ("pipeline", "conformance", "reliability")
"""The folders that come first: a file that takes minutes and comes last keeps one of two workers
waiting.
"""


def pytest_collection_modifyitems(items):
    """Sorts the files by `LONGEST`, with --no-loadscope-reorder also for the workers; within them
    nothing changes.
    """
    here = Path(__file__).parent
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.relative_to(here).parts[0], len(order)))


@pytest.fixture(scope="session")
def realdata():
    """The folder of real data, which is no part of the project; without it the test is skipped."""
    if not REALDATA.is_dir():
        pytest.skip("there is no ../shared/realdata")
    return REALDATA


@pytest.fixture
def small():
    """Makes a ModelSpec of a very narrow net (2, 4, 8, 16 and 16 filters, 3 classes); any field can
    be changed.
    """
    from fcn.spec import MEAN_BGR, ModelSpec

    def spec(variant="fcn32s", **changes):
        fields = {
            "backbone": "vgg16", "classes": ("background", "cat", "dog"), "width": 1 / 32,
            "fc_units": 8,
            "padding": "caffe", "upsampling": "fixed", "dropout": 0.5, "mean_bgr": MEAN_BGR,
        }  # fmt: skip
        return ModelSpec(variant, **{**fields, **changes})

    return spec


@pytest.fixture
def lenet(small):
    """Makes a ModelSpec of FCN-4s on a narrow LeNet (4 and 10 filters, 3 classes); any field can be
    changed.
    """

    def spec(**changes):
        return small(
            "fcn4s",
            **{
                "backbone": "lenet",
                "width": 1 / 5,
                "dropout": 0.0,
                "mean_bgr": (0.0, 0.0, 0.0),
                **changes,
            },
        )

    return spec


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def _over_http(folder):
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))
    ) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def over_http():
    """`with over_http(folder) as url`: the files of a folder, published below an address of this
    machine.
    """
    return _over_http
