"""What a reader finds on the report's page, and a tiny made-up project to make one of."""

import json
from html.parser import HTMLParser
from pathlib import Path

import html5lib
import numpy as np
from tiny import scene, write_records, write_world

from fcn.evaluate import explain
from fcn.net.model import build as build_net
from fcn.pixels import labels
from fcn.spec import ModelSpec
from tasks.report import write
from tasks.settings import config

ROOT = Path(__file__).parents[2]
NASTY = "<script>alert('red')</script>"
CLASSES = ("background", NASTY, "green")
SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
MEASURED = {"fcn32s": (0.80004, 0.70005, 0.60006, 0.75), "fcn16s": (0.90004, 0.65, 0.66358, 0.85)}
CONFUSED = {
    "fcn32s": [(954, 0, 46), (0, 0, 0), (2, 0, 16)],
    "fcn16s": [(904, 50, 46), (3, 7, 0), (1, 2, 2)],
}
IMAGES = {
    # IU of x: (80/100 + 10/40) / 2 = 0.525; of v: 50/100 = 0.5; of w: (90/100 + 30/50 + 0/10) / 3 =
    # 0.5: a tie with v.
    "fcn16s": [
        ("x", "background", 80, 90, 90), ("x", "green", 10, 20, 30),
        ("v", "background", 50, 50, 100), ("w", "background", 90, 95, 95),
        ("w", NASTY, 30, 40, 40), ("w", "green", 0, 0, 10),
    ],
    "fcn32s": [("x", "background", 1, 4, 1)],
}  # fmt: skip
LOCK = """
schema: '2.0'
stages:
  records:
    outs: [{path: data/records, hash: md5, md5: aaa.dir},
           {path: plots/data, hash: md5, md5: bbb.dir}]
  train@fcn32s:
    deps: [{path: fcn/net/model.py, hash: md5, md5: ccc}]
    outs: [{path: models/fcn32s, hash: md5, md5: ddd.dir}]
  report:
    outs: [{path: report, hash: md5, md5: eee.dir}]
"""


class Page(HTMLParser):
    """By section (the id of its heading): `rows`, texts of cells. And `tags`, `addresses`, `looked`
    (the gallery's data).
    """

    def __init__(self, text):
        super().__init__()
        self.rows, self.headings, self.tags, self.addresses, self.looked = {}, {}, [], [], None
        self.best, self.section, self.cell, self.heading, self.data = [], None, None, False, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.addresses += [
            (tag, attributes[name]) for name in ("src", "href", "xlink:href") if name in attributes
        ]
        if tag == "h2":
            self.section, self.heading = attributes["id"], True
            self.headings[self.section] = ""
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.cell = ""
            self.best += (
                [len(self.rows[self.section][-1])] if attributes.get("class") == "best" else []
            )
        if attributes.get("id") == "looked":
            self.data = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[self.section][-1].append(" ".join((self.cell or "").split()))
            self.cell = None
        if tag == "h2":
            self.heading = False
        if tag == "script" and self.data is not None:
            self.looked, self.data = json.loads(self.data), None

    def handle_data(self, text):
        if self.cell is not None:
            self.cell += text
        if self.heading:
            self.headings[self.section] += text
        if self.data is not None:
            self.data += text


def strict(path):
    """Reads a page as a browser does; whatever a browser would mend in silence raises."""
    html5lib.HTMLParser(strict=True).parse(path.read_text(encoding="utf-8"))


def table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (header, *rows)
    path.write_text("".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines))


def write_project(folder):
    """Everything that the stages leave of two models, and the records of the tiny world with a
    class that is HTML.
    """
    write_records(write_world(folder / "world"), folder / "data/records")
    index = folder / "data/records/index.json"
    index.write_text(index.read_text().replace('"red"', json.dumps(NASTY)))
    for variant, scores in MEASURED.items():
        change = -0.01 if variant == "fcn32s" else 0.02
        provenance = {
            "split": "val",
            "images": 3,
            "padding": "same",
            "checkpoint": "last",
            "dataset": "d1",
            "model": variant,
        }
        measured = {
            **dict(zip(SCORES, scores, strict=True)), "boundary_iu": 0.33333, "upper_bound": 0.86,
            "protocols": {"resize520": {
                name: score + change for name, score in zip(SCORES, scores, strict=True)
            }},
            "provenance": provenance | {"protocol": "fcn"},
        }  # fmt: skip
        (folder / "metrics").mkdir(exist_ok=True)
        (folder / f"metrics/{variant}.json").write_text(json.dumps(measured))
        model, plots = folder / "models" / variant, folder / "plots" / variant
        model.mkdir(parents=True)
        (model / "weights.npz").write_bytes(variant.encode())
        (model / "model.json").write_text(json.dumps({
            "variant": variant, "backbone": "vgg16", "classes": CLASSES, "width": 0.125,
            "fc_units": 8, "padding": "same", "upsampling": "fixed", "dropout": 0.5,
            "mean_bgr": [104.0, 117.0, 123.0],
        }))  # fmt: skip
        table(
            model / "history.csv", ("step", "loss"), [(step, 1000 / step) for step in (10, 20, 30)]
        )
        table(
            model / "validation.csv",
            ("step", *SCORES),
            [(0, 0.3, 0.2, 0.1, 0.2), (30, 0.8, 0.7, 0.6, 0.75)],
        )
        cells = [
            (a, b, pixels, 0)
            for a, row in zip(CLASSES, CONFUSED[variant], strict=True)
            for b, pixels in zip(CLASSES, row, strict=True)
        ]
        table(plots / "confusion.csv", ("truth", "prediction", "pixels", "share"), cells)
        table(
            plots / "boundary.csv",
            ("width", "mean_iu", "pixel_accuracy"),
            [(1, 0.2, 0.3), (40, 0.6, 0.8)],
        )
        table(
            plots / "images.csv", ("image", "class", "both", "truth", "prediction"), IMAGES[variant]
        )
        (plots / "predictions").mkdir()
        for image in "xvw":
            truth = scene(image)[1]
            labels.to_image(np.where(truth == 255, 0, truth)).save(
                plots / "predictions" / f"{image}.png"
            )
    # What the last one does with x, for the page that explains it.
    spec = ModelSpec(
        "fcn16s", "vgg16", CLASSES, 1 / 32, 8, "same", "fixed", 0.5, (104.0, 117.0, 123.0)
    )
    steps = explain.explain(build_net(spec), spec, scene("x")[0])
    explain.save(folder / "plots/fcn16s" / explain.FILE, steps)
    (folder / "dvc.lock").write_text(LOCK)
    return folder


def build(folder):
    """The page that `tasks.report` makes of the project; the current
    directory has to be `folder`.
    """
    names = ("data/records", "models", "metrics", "plots", "report")
    write.build(config.read(ROOT / "params.yaml"), *map(Path, names))
    return Page((folder / "report/index.html").read_text(encoding="utf-8"))
