import io
import tarfile

import keras
import numpy as np
import pytest
from PIL import Image

from fcn.evaluate.upper_bound import reconstruct
from fcn.net.bilinear import Bilinear
from fcn.score import metrics


def test_a_step_moves_to_where_the_interpolated_shares_cross():
    # Cells of 4: [0 0 0 0] [0 0 1 1] [1 1 1 1] have 0, 1/2 and 1 of class 1 and centres at 1.5, 5.5
    # and 9.5: the share crosses 1/2 at 5.5, just where the truth does.
    truth = np.repeat([[0, 1]], [6, 6], axis=1).repeat(4, 0).astype(np.uint8)
    np.testing.assert_array_equal(reconstruct(truth, 4), truth)
    # With 3/4 of the middle cell it is crossed at 1.5 + 4 x 2/3 = 4.17, where the truth changes
    # between 4 and 5.
    truth = np.repeat([[0, 1]], [5, 7], axis=1).repeat(4, 0).astype(np.uint8)
    np.testing.assert_array_equal(reconstruct(truth, 4), truth)
    # A line one pixel wide never has the most of a cell.
    line = np.zeros((8, 8), np.uint8)
    line[:, 3] = 1
    assert not reconstruct(line, 4).any()
    np.testing.assert_array_equal(reconstruct(line, 1), line)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (37, 45)])
def test_the_way_up_is_the_nets(height, width):
    """A transposed convolution with the nets' kernel, SAME, cropped at the top left."""
    random = np.random.default_rng(1)
    truth = random.choice([0, 1, 2, 255], (-(-height // 5), -(-width // 5)), p=[0.5, 0.2, 0.2, 0.1])
    truth = truth.repeat(5, 0).repeat(5, 1)[:height, :width].astype(np.uint8)
    up = keras.layers.Conv2DTranspose(
        3, 16, 8, "same", use_bias=False, kernel_initializer=Bilinear()
    )
    shares = np.zeros((1, -(-height // 8), -(-width // 8), 3), np.float32)
    for y, x in np.ndindex(truth.shape):
        if truth[y, x] != 255:
            shares[0, y // 8, x // 8, truth[y, x]] += 1 / 64
    scores = np.asarray(up(shares))[0, :height, :width]
    top = np.sort(scores, -1)
    clear = top[..., -1] - top[..., -2] > 1e-5
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(reconstruct(truth, 8)[clear], scores.argmax(-1)[clear])


def test_void_and_single_classes_stay_what_they_are():
    void = np.full((3, 4), 255, np.uint8)
    assert not reconstruct(void, 2).any()
    assert (reconstruct(np.where(np.eye(3, 4), 7, void).astype(np.uint8), 2) == 7).all()


def test_real_labels_give_the_papers_table_within_a_few_points(realdata):
    """On 193 of VOC2012's images, not on the paper's."""
    paper = {32: 86.1, 16: 92.8, 8: 96.4}
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        members = [
            tar.extractfile(m)
            for m in tar.getmembers()
            if "/SegmentationClass/" in m.name and m.name.endswith(".png")
        ]
        truths = [np.asarray(Image.open(io.BytesIO(member.read()))) for member in members if member]
    found = {
        stride: 100
        * metrics.scores(sum(metrics.confusion(t, reconstruct(t, stride), 21) for t in truths))[
            "mean_iu"
        ]
        for stride in paper
    }
    assert found == pytest.approx(paper, abs=4)
    assert found[32] < found[16] < found[8] < 100
