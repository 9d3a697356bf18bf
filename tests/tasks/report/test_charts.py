import numpy as np
import pytest
from reported import table

from fcn.evaluate import Evaluation
from tasks.report import charts


@pytest.fixture
def tables(tmp_path):
    rows = {"a": [(10, 100.0), (20, 10.0)], "b": [(10, 1.0), (20, 50.0)]}
    for name, values in rows.items():
        table(tmp_path / name / "history.csv", ("step", "loss"), values)
    return {name: tmp_path / name / "history.csv" for name in rows}


def points(line):
    return np.asarray(line.get_xydata()).tolist()


def test_curves_are_the_table_and_have_one_scale(tables):
    figures = charts.curves(tables, "loss", "loss")
    (line,) = figures["b"].axes[0].lines
    assert points(line) == [[10, 1], [20, 50]]
    # 1 to 100, and a twentieth of that on both sides.
    assert [figure.axes[0].get_ylim() for figure in figures.values()] == [
        pytest.approx((-3.95, 104.95))
    ] * 2
    logarithmic = charts.curves(tables, "loss", "loss", log=True)["a"].axes[0]
    assert logarithmic.get_yscale() == "log"
    assert logarithmic.get_ylim() == pytest.approx((100**-0.05, 100**1.05))


def test_a_loss_that_was_lost_is_drawn_as_far_as_it_goes(tmp_path):
    table(tmp_path / "history.csv", ("step", "loss"), [(1, 5.0), (2, "nan"), (3, "inf")])
    axes = charts.curves({"a": tmp_path / "history.csv"}, "loss", "loss", log=True)["a"].axes[0]
    assert points(axes.lines[0])[0][1] == 5
    charts.svg(axes.figure, "lost")


def test_of_many_points_neighbours_are_drawn_as_their_mean():
    assert charts.thinned([1, 3, 5, 7, 10], 3) == [2, 6, 10]
    assert charts.thinned([1, 3, 5], 3) == [1, 3, 5]
    assert charts.thinned([], 3) == []
    values = np.arange(100_000.0).tolist()
    assert len(charts.thinned(values)) == 400
    assert np.mean(charts.thinned(values)) == np.mean(values)


def test_the_boundary_chart_has_a_line_for_each_table_with_rows(tmp_path):
    header = ("width", "mean_iu", "pixel_accuracy")
    table(tmp_path / "a/boundary.csv", header, [(1, 0.25, 0.5), (40, 0.75, 1)])
    table(tmp_path / "b/boundary.csv", header, [])
    found = {name: Evaluation(None, tmp_path / name) for name in ("a", "b")}
    axes = charts.boundary(found, "mean_iu", "mean IU").axes[0]
    assert points(axes.lines[0]) == [[1, 0.25], [40, 0.75]]
    legend = axes.get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["a"]


def test_an_svg_takes_the_page_s_colour_and_says_what_it_shows(tables):
    drawn = [
        charts.svg(charts.curves(tables, "loss", "loss")["a"], 'loss of "a" <b> & c')
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith('<svg role="img" aria-label="loss of &quot;a&quot; &lt;b> &amp; c" ')
    assert "currentColor" in drawn[0]
    assert "#000000" not in drawn[0]
    assert "#010203" not in drawn[0]
    assert "<g id" not in drawn[0]
    assert ">iteration</text>" in drawn[0]


def test_a_training_is_its_loss_and_its_scores(tmp_path):
    (tmp_path / "history.csv").write_text("step,loss\n50,4.5\n100,2.25\n")
    (tmp_path / "validation.csv").write_text(
        "step,pixel_accuracy,mean_accuracy,mean_iu,frequency_weighted_iu\n0,0.75,0.5,0.25,0.6\n100,0.875,0.6,0.5,0.7\n"
    )
    left, right = charts.learning(tmp_path).axes
    assert [points(line) for line in left.lines] == [[[50, 4.5], [100, 2.25]]]
    assert {line.get_label(): points(line) for line in right.lines} == {
        "pixel_accuracy": [[0, 0.75], [100, 0.875]], "mean_iu": [[0, 0.25], [100, 0.5]],
    }  # fmt: skip
