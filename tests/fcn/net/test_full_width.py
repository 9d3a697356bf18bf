"""The paper's largest net, whole, on a real image: slow (a minute on two cores) and 5 GB large, so
it runs by itself.
"""

import io
import json
import math
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
VOC = ROOT.parent / "shared" / "realdata" / "VOC2012-subset.tar"
STEP = """
import json, resource, sys
import numpy as np
from fcn.net import model
from fcn.train import optimizers
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.train.losses import PixelLoss
from tests.recipe import optimizer

pair = np.load(sys.argv[1])
spec = ModelSpec("fcn8s", "vgg16", tuple(map(str, range(21))), 1.0, 4096, "caffe", "fixed", 0.5, \
MEAN_BGR)
net = model.build(spec)
net.compile(optimizer("sgd", 1e-10, 0.99, 5e-4, 2.0), PixelLoss("sum"), jit_compile=False)
loss = net.train_on_batch(pair["image"][None], pair["label"][None])
moved = [name for name in ("score_fr", "score_pool4", "score_pool3") \
if np.asarray(net.get_layer(name).kernel).any()]
facts = {"loss": float(loss), "moved": moved, \
"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
print(json.dumps(facts))
"""


@pytest.mark.realdata
@pytest.mark.skipif(not VOC.is_file(), reason="real VOC pairs are not here: ../shared/realdata")
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_one_step_of_the_full_fcn8s_on_a_real_image_takes_less_than_8_gb(tmp_path):
    with tarfile.open(VOC) as tar:

        def picture(folder, name):
            member = tar.extractfile(f"VOCdevkit/VOC2012/{folder}/{name}")
            assert member
            return np.asarray(Image.open(io.BytesIO(member.read())))

        image, label = (
            picture("JPEGImages", "2007_000063.jpg"),
            picture("SegmentationClass", "2007_000063.png"),
        )
    assert image.shape == (375, 500, 3)
    np.savez(tmp_path / "pair.npz", image=image, label=label)
    done = subprocess.run(
        [sys.executable, "-c", STEP, tmp_path / "pair.npz"], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["loss"] == pytest.approx((label != 255).sum() * math.log(21), rel=1e-5)
    assert facts["moved"] == ["score_fr", "score_pool4", "score_pool3"]
    assert facts["memory"] < 8e9
