import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import html5lib
import pytest
from reported import MEASURED, NASTY, ROOT, Page, build, strict, table, write_project

from fcn.datasets import CLASSES as VOC
from fcn.errors import UserError
from fcn.evaluate import Evaluation
from fcn.io import files
from tasks import tracking
from tasks.report import charts, page, references, write
from tasks.settings import config
from tasks.tracking import durations, steps


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def found(made):
    """What a reader finds on the page of a complete project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.setattr(write, "EXTREMES", 2)
        return build(made)


@pytest.fixture
def text(made, found):
    """The page itself."""
    return (made / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture
def project(made, tmp_path, monkeypatch):
    """A project to be changed at will, the current directory, whose page has no charts: they take a
    second.
    """
    folder = shutil.copytree(made, tmp_path / "project", ignore=shutil.ignore_patterns("report"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(charts, "svg", lambda figure, text: "<svg></svg>")
    (folder / "plots/fcn16s/explained.npz").unlink()
    return folder


OURS = {
    "fcn32s": ["fcn32s", "0.8000", "0.7000", "0.6001", "0.7500", "0.3333", "0.8600"],
    "fcn16s": ["fcn16s", "0.9000", "0.6500", "0.6636", "0.8500", "0.3333", "0.8600"],
}


def test_the_scores_and_the_best_of_each(found, text):
    head = [
        "model", "pixel accuracy", "mean accuracy", "mean IU", "f.w. IU", "boundary IU",
        "upper bound",
    ]  # fmt: skip
    assert found.rows["scores"] == [head, *OURS.values()]
    # The best of each column: mean accuracy is 32s's (column 2), the others 16s's.
    assert found.best == [2, 1, 3, 4]
    assert "The paper has no scores of these classes." in text


def test_the_paper_stands_beside_scores_of_its_own_images(project):
    for variant in MEASURED:
        path = project / f"metrics/{variant}.json"
        path.write_text(path.read_text().replace('"split": "val"', '"split": "seg11valid"'))
    assert build(project).rows["scores"][1:] == [
        OURS["fcn32s"],
        ["authors' weights", "0.9048", "0.7648", "0.6363", "0.8346", "", ""],
        ["CVPR 2015", "0.8910", "0.7330", "0.5940", "0.8140", "", ""],
        OURS["fcn16s"],
        ["authors' weights", "0.9100", "0.7807", "0.6501", "0.8426", "", ""],
        ["CVPR 2015", "0.9000", "0.7570", "0.6240", "0.8300", "", ""],
    ]
    assert "table. On these images, seg11valid.\n" in (project / "report/index.html").read_text()


@pytest.mark.parametrize(
    ("dataset", "classes", "images", "titles", "where"),
    [
        ("voc2012", VOC, 1449, 4, "For orientation, of the same classes on other images"),
        ("voc", VOC, 40, 2, "For orientation, of the same classes on other images"),
        ("voc", VOC[:20], 40, 0, ""),
        ("ade20k", ("wall", "building"), 2000, 0, ""),
        ("folder", ("wall", "building"), 2000, 0, ""),
    ],
)
def test_beside_which_scores_others_may_stand(dataset, classes, images, titles, where):
    measured = {"fcn8s": {"provenance": {"split": "val", "images": images}}}
    found, said = references.beside(dataset, classes, measured)
    assert len(found) == titles
    assert said.startswith(where)
    assert bool(said) == bool(found)


def test_other_protocols_on_the_same_weights(found):
    assert found.rows["protocols"][1:] == [
        ["fcn32s", "fcn", "0.8000", "0.7000", "0.6001", "0.7500", ""],
        ["", "resize520", "0.7900", "0.6900", "0.5901", "0.7400", "-0.0100"],
        ["fcn16s", "fcn", "0.9000", "0.6500", "0.6636", "0.8500", ""],
        ["", "resize520", "0.9200", "0.6700", "0.6836", "0.8700", "+0.0200"],
    ]


def test_classes_and_their_confusion(found, text):
    assert found.rows["classes"] == [
        ["background", "0.952 0.900"],  # 954 / (1000 + 956 - 954), 904 / (1000 + 908 - 904)
        [NASTY, "\N{EN DASH} 0.113"],  # 7 / (10 + 59 - 7)
        ["green", "0.250 0.039"],  # 16 / (18 + 62 - 16), 2 / (5 + 48 - 2)
    ]
    assert found.rows["confusion"] == [
        ["true", "background", NASTY, "green"],
        ["background", "95", "0", "5"], [NASTY, "0", "0", "0"], ["green", "11", "0", "89"],
        ["true", "background", NASTY, "green"],
        ["background", "90", "5", "5"], [NASTY, "30", "70", "0"], ["green", "20", "40", "40"],
    ]  # fmt: skip
    assert 'style="--v: 25.0%"' in text
    assert (
        "green for &lt;script&gt;alert(&#39;red&#39;)&lt;/script&gt;</button> (40.0&nbsp;%); "
    ) in text


def test_a_matrix_of_many_classes_is_a_picture(tmp_path):
    names = [f"c{n}" for n in range(31)]
    pixels = {("c3", "c3"): 9, ("c3", "c7"): 1}
    cells = [(a, b, pixels.get((a, b), 0), 0) for a in names for b in names]
    table(tmp_path / "confusion.csv", ("truth", "prediction", "pixels", "share"), cells)
    found = page._confusion(Evaluation(None, tmp_path))
    assert found["matrix"] is None
    assert found["picture"].startswith("data:image/png;base64,")
    assert found["largest"] == [(0.1, "c3", "c7")]


def test_the_gallery_has_every_image_and_the_sheets_the_extremes(found, made):
    images = {image["id"]: image for image in found.looked["images"]}
    index = json.loads((made / "data/records/index.json").read_text())
    assert list(images) == index["splits"]["val"]["ids"]
    assert found.looked["models"] == ["fcn32s", "fcn16s"]
    assert (found.looked["classes"], found.looked["clear"]) == (
        ["background", NASTY, "green"],
        True,
    )
    assert images["x"]["iu"] == [0.25, 0.525]  # 1 / (4 + 1 - 1); the mean of 80 / 100 and 10 / 40
    assert images["x"]["ius"] == [[[0, 0.25]], [[0, 0.8], [2, 0.25]]]
    assert images["v"]["iu"] == [None, 0.5]
    assert {path.name for path in (made / "report").iterdir()} == {
        "index.html", "explained-fcn16s.html", "overview.jpg", "worst.jpg", "best.jpg",
        "boundary.png",
    }  # fmt: skip


def test_what_a_net_does_with_an_image_of_many_classes(found, made):
    # Of those with two classes, w has the smallest part of background, 95 of 135.
    assert ("a", "explained-fcn16s.html") in found.addresses
    text = (made / "report/explained-fcn16s.html").read_text(encoding="utf-8")
    assert "<h1>w, seen by fcn16s</h1>" in text
    assert '<a href="index.html">The report</a>' in text
    assert NASTY not in text


def times(project):
    """The rows of the table of times and machines, which the page loads."""
    page = (project / "report/index.html").read_text()
    told = json.loads(
        (project / ".cache/times.js")
        .read_text()
        .removeprefix("window.fcnTimes = ")
        .removesuffix(";\n")
    )
    heading = page[page.index('<h2 id="provenance"') :].partition("</h2>")[0] + "</h2>"
    return Page(heading + told).rows["provenance"]


def test_what_is_not_there_is_left_out(project, found):
    full = set(found.headings)
    for variant in MEASURED:
        (project / f"plots/{variant}/boundary.csv").write_text("width,mean_iu,pixel_accuracy\n")
        metrics = json.loads((project / f"metrics/{variant}.json").read_text())
        for key in ("boundary_iu", "upper_bound", "protocols"):
            del metrics[key]
        (project / f"metrics/{variant}.json").write_text(json.dumps(metrics))
    (project / "plots/fcn32s/predictions/v.png").unlink()
    (project / "dvc.lock").unlink()
    found = build(project)
    assert full - set(found.headings) == {"protocols", "boundary", "explained"}
    assert found.rows["scores"][0] == [
        "model",
        "pixel accuracy",
        "mean accuracy",
        "mean IU",
        "f.w. IU",
    ]
    assert {image["id"]: image["kept"] for image in found.looked["images"]}["v"] == [False, True]
    assert found.rows["health"] == [["fcn32s", "", "not recorded"], ["fcn16s", "", "not recorded"]]
    stages = [f"{stage}@{variant}" for stage in ("train", "evaluate") for variant in MEASURED]
    assert [row for row in times(project) if row[1:] == ["not recorded"]] == [
        [s, "not recorded"] for s in stages
    ]
    assert {path.name for path in Path("report").iterdir()} == {
        "index.html", "overview.jpg", "worst.jpg",
    }  # fmt: skip
    assert ("a", "#boundary") not in found.addresses


def test_a_model_that_was_not_evaluated_is_left_out(project):
    (project / "metrics/fcn16s.json").unlink()
    assert [row[0] for row in build(project).rows["scores"]] == ["model", "fcn32s"]
    (project / "metrics/fcn32s.json").unlink()
    with pytest.raises(UserError, match="metrics: expected a metrics file such as fcn32s"):
        build(project)


def test_health_and_durations_are_those_of_the_run_that_made_the_model(project):
    tags = {"git.commit": "0123456789abcdef", "git.diff.sha256": "fedcba9876543210"}
    machine = {"device": "GPU: <X>", "machine": "M", "versions": {"python": "3", "keras": "4"}}
    with tracking.training("e", "fcn32s", "key", params={}, tags={}) as run:
        run.facts("machine-train", durations.facts(tags) | machine)
        run.facts("health", {"overfitting": "by heart & more"})
        run.made(Path("models/fcn32s/weights.npz"))
    with tracking.scoring("e", "fcn16s", "abc", params={}, tags={}) as run:
        run.facts("machine-evaluate", durations.facts(tags | {"git.diff.sha256": "none"}))
        run.made(Path("metrics/fcn16s.json"))
    found = build(project)
    assert found.rows["health"] == [
        ["fcn32s", "overfitting", "by heart & more"],
        ["fcn16s", "", "not recorded"],
    ]
    assert "0123456789ab" not in (project / "report/index.html").read_text(), (
        "the page is the same on every machine"
    )
    stages = {row[0]: row[1:] for row in times(project)}
    assert stages["train@fcn32s"] == [
        "0 s", "GPU: <X>", "M", "python 3, keras 4", "0123456789ab with local changes fedcba987654",
    ]  # fmt: skip
    assert stages["evaluate@fcn16s"][-1] == "0123456789ab"
    assert stages["evaluate@fcn32s"] == ["not recorded"]


def test_parameters_hashes_and_digests(found):
    profile = config.read(ROOT / "params.yaml")
    rows = {row[0]: row[1:] for row in found.rows["parameters"]}
    assert rows["learning_rate"] == [str(profile.train[v].learning_rate) for v in MEASURED]
    assert rows["padding"] == [profile.model.padding]
    assert rows["augment"][0].startswith("scale 1.0 to 1.0, mirror False")
    stages = {row[0]: row[1:] for row in found.rows["provenance"]}
    # Of dvc.lock what the page is made from, and neither code nor the page itself.
    assert {name: cells for name, cells in stages.items() if "/" in name} == {
        "data/records": ["aaa.dir"], "models/fcn32s": ["ddd.dir"],
    }  # fmt: skip


def test_names_are_text_and_never_html(found, text):
    assert found.tags.count("script") == 2  # the page's own: its data, and its program
    assert NASTY not in text


@pytest.mark.parametrize("name", ["index.html", "explained-fcn16s.html"])
def test_a_browser_has_nothing_to_mend(found, made, name):
    strict(made / "report" / name)


def test_a_reader_that_mends_nothing_finds_a_fault(tmp_path):
    (tmp_path / "a.html").write_text("<!DOCTYPE html><title>a</title><p><table><p></table>")
    with pytest.raises(html5lib.html5parser.ParseError):
        strict(tmp_path / "a.html")


def test_a_page_of_the_user_s_is_left_alone(made, project):
    out = project / "report"
    build(project)
    build(project)  # its own page it replaces
    (out / "index.html").write_text("<title>My page</title>")
    with pytest.raises(UserError, match=r"report: .* a folder that this program did not make"):
        build(project)
    assert (out / "index.html").read_text() == "<title>My page</title>"


def test_the_page_needs_nothing_else(found, text):
    assert {tag for tag, address in found.addresses} == {"a", "use"}
    pictures = [image[key] for image in found.looked["images"] for key in ("photo", "strip")]
    assert {address.partition(";base64,")[0] for address in pictures} == {
        "data:image/jpeg",
        "data:image/png",
    }
    local = {address for tag, address in found.addresses if tag in ("a", "use")}
    local -= {"explained-fcn16s.html"}
    assert all(
        address.startswith("#") and text.count(f'id="{address[1:]}"') == 1 for address in local
    )
    assert not re.search(r"url\((?!#|data:)|@import", text.partition("<script>")[0])
    assert found.tags.count("svg") == 6


def test_the_same_files_give_the_same_bytes(made, found, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "project", ignore=shutil.ignore_patterns("report"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(write, "EXTREMES", 2)
    build(folder)
    first, second = (
        {path.name: path.read_bytes() for path in (root / "report").iterdir()}
        for root in (made, folder)
    )
    assert first == second
    assert len(first) == 6


def test_prefect_and_mlflow_get_the_pictures(project, monkeypatch):
    shown, kept = {}, []

    class Run:
        def artifact(self, path, folder):
            kept.append((path.name, folder))

    @contextmanager
    def scoring(experiment, variant, sha256, *, params, tags, stage):
        kept.append((experiment, variant, sha256, params["train"]["optimizer"]))
        yield Run()

    monkeypatch.setattr(
        steps, "show", lambda key, text, **content: shown.update({key: content.popitem()[1]})
    )
    monkeypatch.setattr(tracking, "scoring", scoring)
    settings = config.read(ROOT / "params.yaml")
    paths = (Path(name) for name in ("data/records", "models", "metrics", "plots", "report"))
    write.write_report(settings, *paths)
    assert shown.keys() == {"report", "report-overview", "report-worst", "report-boundary"}
    assert shown["report-worst"].startswith("data:image/jpeg;base64,")
    assert shown["report-boundary"].startswith("data:image/png;base64,")
    assert "| fcn16s | 0.9000 | 0.6500 | 0.6636 | 0.8500 |" in shown["report"]
    pictures = [
        (name, "report") for name in ("boundary.png", "index.html", "overview.jpg", "worst.jpg")
    ]
    digests = {variant: files.digest(Path(f"models/{variant}/weights.npz")) for variant in MEASURED}
    assert kept == [
        ("fcn-sample", "fcn32s", digests["fcn32s"], "sgd"), *pictures,
        ("fcn-sample", "fcn16s", digests["fcn16s"], "sgd"), *pictures,
    ]  # fmt: skip
