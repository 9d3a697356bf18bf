"""The web page: give it pictures, see what is where in them.

The page is the folder `page/`: HTML, CSS and JavaScript that any browser runs as they are, with
examples to click. It asks this server alone, and of it three things: which nets there are, what
one says of a picture (told line by line, as JSON, while it is computed), and the probabilities.
"""

import asyncio
import base64
import functools
import io
import json
import threading
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markdown_it import MarkdownIt
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fcn import reading
from fcn.errors import UserError, shown
from fcn.pixels import labels, visualize
from fcn.predict import local, scaled, segmentation, serving
from fcn.predict.own_door import OwnDoor
from fcn.spec import ModelSpec, palette

if TYPE_CHECKING:
    from fcn.predict.predictor import Predictor

HERE = Path(__file__).parent / "page"
AT_ONCE = 8
"""Pictures that are in memory at a time, with five bytes for each of their pixels."""
FORMATS = (*serving.FORMATS, "HEIF")
MAX_PIXELS = 50_000_000
"""Of a picture: telephones take them with 48 million."""
MAX_PROBABILITIES = 200_000_000
"""Bytes of the probabilities of a picture: 4.7 megapixels with 21 classes."""
SHOWN = 1600
"""Pixels of the longer side up to which a picture is shown as it is."""

_REMEDY = "it describes no model of this version: train the model again"

Lines = Generator[dict[str, Any], None, None]


class Nets:
    """The nets that the page offers."""

    def __init__(self, models: Mapping[str, Path], first: str) -> None:
        """Reads none of them yet.

        Args:
            models: model folders by name.
            first: the one that is chosen at first.
        """
        self._models, self.first = models, first
        self.turns = serving.Turns()

    def get(self, name: str) -> "Predictor":
        """A net, read if it is not in memory, or has been written since.

        Raises:
            UserError: there is none of that name, or no model in its folder.
        """
        if name not in self._models:
            raise UserError(f"net: expected one of {', '.join(self._models)}; got {shown(name)}")
        folder = self._models[name]
        weights = folder / "weights.npz"
        with self.turns.turn(0):  # the first of several pictures reads it for all
            return _net(folder, weights.stat().st_mtime_ns if weights.exists() else 0)

    def described(self) -> list[dict[str, Any]]:
        """What each net is and knows, for the page; without Keras, which takes seconds."""
        found = []
        for name, folder in self._models.items():
            try:
                spec = reading.read_json(folder / "model.json", ModelSpec, _REMEDY)
                found.append(_described(name, spec, folder))
            except UserError as error:
                found.append({"name": name, "wrong": str(error)})
        return found


@functools.lru_cache(maxsize=2)
def _net(folder: Path, _written: int) -> "Predictor":
    from fcn.predict import predictor  # TensorFlow takes seconds: the page is there before it

    return predictor.load(folder)


def _described(name: str, spec: ModelSpec, folder: Path) -> dict[str, Any]:
    colours = palette()
    return {
        "name": name,
        "variant": spec.variant,
        "backbone": spec.backbone,
        "knows": spec.knows,
        "clear": not visualize.painted([np.zeros((1, 1), np.uint8)], spec.classes),
        "classes": [
            {"name": each, "colour": colours[value].tolist()}
            for value, each in enumerate(spec.classes)
        ],
        "card": _card(folder / "README.md"),
    }


def _card(path: Path) -> str:
    """What a model folder says of its net, as HTML; what looks like HTML in it is shown as text."""
    if not path.is_file():
        return ""
    text = reading.content(path, "make it shorter").decode("utf-8", "replace")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def segment(nets: Nets, name: str, data: bytes, file: str, side: int | None) -> Lines:
    """Says what is where in a picture.

    Args:
        nets: of the page.
        name: of one of them.
        data: the picture's file.
        file: its name, for messages.
        side: see `scaled.size`.

    Yields:
        `{"says": what is being done, "part": of the work that is done, 0..1}`, and at last
        `{"found": see `answer`}`, or `{"wrong": a sentence}`.
    """
    try:
        yield {"says": "The net is read", "part": 0}
        net = nets.get(name)
        yield {"says": "The picture is read", "part": 0}
        image = _read(net, data, file, side)
        cost = net.cost(*scaled.size(image.shape[1], image.shape[0], side))
        work = serving.in_turns(scaled.steps(net, image, side), cost, nets.turns)
        yield {"says": "The net looks at it", "part": 0}
        while True:
            try:
                done, tiles = next(work)
            except StopIteration as end:
                yield {"found": answer(image, end.value, net.spec.classes)}
                return
            yield {"says": f"{done} of {tiles} tiles are done", "part": done / tiles}
    except (UserError, OSError) as error:
        yield {"wrong": str(error)}


def _read(net: "Predictor", data: bytes, file: str, side: int | None) -> np.ndarray:
    def cost(width: int, height: int) -> int:
        return net.cost(*scaled.size(width, height, side))

    return serving.read(data, shown(file), serving.Budget(cost, MAX_PIXELS), FORMATS)


def answer(image: np.ndarray, found: scaled.Segmented, classes: Sequence[str]) -> dict[str, Any]:
    """What the page gets of a picture, as plain data.

    Args:
        image: uint8 RGB (H, W, 3).
        found: what is said of it.
        classes: their names.

    Returns:
        `width` and `height` of the picture; `computed`, those at which the net saw it; `labels`,
        base64 of a palette PNG of its size; `classes`, see `segmentation.shares`, each with `sure`,
        the mean probability of its pixels in percent. For the screen, with at most `SHOWN` pixels a
        side, base64 of: `picture`, a JPEG; `map`, a PNG whose red is the class and whose green is
        its probability in percent.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((SHOWN, SHOWN))
    planes = [
        Image.fromarray(each).resize(picture.size, Image.Resampling.NEAREST)
        for each in (found.labels, found.sure)
    ]
    count, total = (
        np.bincount(found.labels.ravel(), weights, len(classes))
        for weights in (None, found.sure.ravel())
    )
    rows = segmentation.shares(found.labels, classes)
    for row in rows:
        row["sure"] = round(float(total[row["value"]] / count[row["value"]]))
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "computed": found.computed,
        "classes": rows,
        "labels": _text(serving.png(labels.to_image(found.labels))),
        "picture": _text(_jpeg(picture)),
        "map": _text(serving.png(Image.merge("RGB", [*planes, Image.new("L", picture.size)]))),
    }


def probabilities(nets: Nets, name: str, data: bytes, file: str, side: int | None) -> bytes:
    """The probabilities of all classes in a picture, at the size at which they are computed.

    Args:
        nets: see `segment`.
        name: see `segment`.
        data: see `segment`.
        file: see `segment`.
        side: see `segment`.

    Returns:
        A NumPy .npz: `probabilities`, float16 (H, W, C), as `fcn predict --probabilities` writes
        it, and `classes`, their names.

    Raises:
        UserError: no such net, no picture, or too many bytes.
    """
    net = nets.get(name)
    image = scaled.reduced(_read(net, data, file, side), side)
    height, width = image.shape[:2]
    size = 2 * height * width * len(net.spec.classes)
    if size > MAX_PROBABILITIES:
        raise UserError(
            f"{shown(file)}: the probabilities of {width} x {height} pixels have "
            f"{size / 1e6:,.0f} MB; {MAX_PROBABILITIES / 1e6:,.0f} MB are allowed: choose the "
            f"reduced size, or `fcn predict --probabilities`"
        )
    work = serving.in_turns(net.steps(image, True), net.cost(width, height), nets.turns)
    while True:
        try:
            next(work)
        except StopIteration as end:
            found = end.value.probabilities.astype(np.float16)
            break
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=found, classes=np.array(net.spec.classes))
    return buffer.getvalue()


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _Files(StaticFiles):
    """The page's files, of which a browser asks each time whether they have changed."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def application(nets: Nets, allowed: Sequence[str] = ()) -> Starlette:
    """The page and what it asks, as an ASGI application.

    Args:
        nets: that it offers.
        allowed: see `OwnDoor`.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def known(_: Request) -> Response:
        found = await run_in_threadpool(nets.described)
        limits = {"side": scaled.SIDE, "bytes": serving.MAX_BYTES}
        return JSONResponse({"first": nets.first, "nets": found, **limits})

    async def asked(request: Request) -> tuple[Nets, str, bytes, str, int | None]:
        query, data = request.query_params, await local.body(request, serving.MAX_BYTES)
        file = query.get("file", "the picture")
        if data is None:
            raise UserError(
                f"{shown(file)}: more than {serving.MAX_BYTES / 1e6:.0f} MB: make it smaller"
            )
        side = None if query.get("size") == "full" else scaled.SIDE
        return nets, query.get("net", nets.first), data, file, side

    async def lines(work: Lines) -> AsyncIterator[str]:
        try:
            async with places:
                async for line in iterate_in_threadpool(work):
                    yield json.dumps(line) + "\n"
        finally:
            work.close()

    async def segmented(request: Request) -> Response:
        try:
            work = segment(*await asked(request))
        except UserError as error:
            return JSONResponse({"wrong": str(error)}, 413)
        return StreamingResponse(lines(work), media_type="application/x-ndjson")

    async def probable(request: Request) -> Response:
        try:
            given = await asked(request)
            async with places:
                found = await run_in_threadpool(probabilities, *given)
        except (UserError, OSError) as error:
            return JSONResponse({"wrong": str(error)}, 400)
        return Response(found, media_type="application/octet-stream")

    routes = [
        Route("/nets", known),
        Route("/segment", segmented, methods=["POST"]),
        Route("/probabilities", probable, methods=["POST"]),
        Mount("/", _Files(directory=HERE, html=True)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnDoor, allowed=allowed)])


def serve(nets: Nets, port: int, allowed: Sequence[str] = ()) -> None:
    """Serves the page on 127.0.0.1 until Ctrl-C.

    Args:
        nets: that it offers; the first is read while the page is already there.
        port: to listen on; 0: one that is free.
        allowed: see `OwnDoor`.

    Raises:
        UserError: the port is taken.
    """

    def build() -> Starlette:
        threading.Thread(target=_warm, args=[nets], daemon=True).start()
        return application(nets, allowed)

    local.serve(build, port, "The page is at {} until Ctrl-C.")


def _warm(nets: Nets) -> None:
    """Reads the first net and lets it see something, so that the first picture is not slow."""
    black = io.BytesIO()
    Image.new("RGB", (scaled.SIDE, scaled.SIDE * 3 // 4)).save(black, "PNG")
    for _ in segment(nets, nets.first, black.getvalue(), "warm", None):
        pass
