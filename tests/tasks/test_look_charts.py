import numpy as np
import pytest
from PIL import Image

from tasks import look

CLASSES = (
    "class,split,images,pixels,share\nbackground,train,3,60,0.6\nbackground,val,1,9,0.9\n"
    "cat,train,2,40,0.4\ncat,val,1,1,0.1\n"
)
SIZES = "split,width,height,images\ntrain,375,500,1\ntrain,500,375,3\nval,500,333,1\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "classes.csv").write_text(CLASSES)
    (tmp_path / "sizes.csv").write_text(SIZES)
    return tmp_path


@pytest.mark.parametrize(
    ("low", "high", "first", "last", "step"),
    [
        (500, 500, 498, 503, 1), (1, 24, 1, 25, 1), (0, 24, 0, 26, 2), (303, 500, 300, 510, 10),
        (112, 500, 100, 520, 20),
        (480, 4000, 400, 4200, 200), (999, 1001, 997, 1004, 1),
    ],
)  # fmt: skip
def test_bins_are_round_and_hold_both_ends(low, high, first, last, step):
    edges = look.bins(low, high)
    assert (edges[0], edges[-1]) == (first, last)
    assert set(np.diff(edges)) == {step}
    assert edges[0] <= low < high + 1 <= edges[-1]


def boxes(axes):
    """Where the bars stand, in the data's units."""
    return [bar.get_path().get_extents(bar.get_patch_transform()) for bar in axes.patches]


def test_bars_are_the_shares_side_by_side(folder):
    (axes,) = look.classes_figure(folder / "classes.csv").axes
    bars = [(round(box.y0 + box.height / 2, 6), round(box.width, 6)) for box in boxes(axes)]
    # Two bars of height 0.4 for each class, around 0 and 1: those of train first.
    assert bars == [(-0.2, 0.6), (0.8, 0.4), (0.2, 0.9), (1.2, 0.1)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["background", "cat"]


def test_a_class_may_be_called_as_anybody_likes(tmp_path):
    (tmp_path / "classes.csv").write_text(
        "class,split,images,pixels,share\n"
        + "".join(f'"{name}",train,1,1,0.5\n' for name in (r"$\frac{$", "a, b", "../<b>"))
    )
    figure = look.classes_figure(tmp_path / "classes.csv")
    # matplotlib would read a formula between two `$`, and this one is none
    figure.savefig(tmp_path / "x.png")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        r"$\frac{$",
        "a, b",
        "../<b>",
    ]


def test_many_classes_stand_in_columns(tmp_path):
    lines = [f"c{n},train,1,1,{n / 11175:.6f}" for n in range(150)]
    (tmp_path / "classes.csv").write_text(
        "\n".join(["class,split,images,pixels,share", *lines]) + "\n"
    )
    figure = look.classes_figure(tmp_path / "classes.csv")
    assert [len(axes.patches) for axes in figure.axes] == [50, 50, 50]
    assert boxes(figure.axes[2])[49].width == pytest.approx(149 / 11175, abs=1e-6)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1, "all on one scale"


def test_the_histogram_of_sizes_loses_no_image(folder):
    width, height = look.sizes_figure(folder / "sizes.csv").axes
    # Percent of the split's images: train 1 of 4 is 375 wide, 3 of 4 are 500 wide; val's only one
    # is 500 wide.
    for axes, expected in ((width, [[25, 75], [100]]), (height, [[75, 25], [100]])):
        heights = [
            [bar.get_height() for bar in bars if bar.get_height()] for bars in axes.containers
        ]
        assert heights == expected


def test_charts_are_there_as_long_as_they_are_needed_and_the_same_each_time(folder):
    contents = []
    for _ in range(2):
        with look.charts(folder) as paths:
            assert [path.name for path in paths] == ["classes.png", "sizes.png"]
            contents.append([path.read_bytes() for path in paths])
            with Image.open(paths[0]) as picture:
                assert picture.format == "PNG"
        assert not any(path.exists() for path in paths)
    assert contents[0] == contents[1]
