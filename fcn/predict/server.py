"""A net as a server for programs: the requests and answers of MLflow's scoring servers, without
MLflow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fcn import reading
from fcn.errors import UserError
from fcn.predict import local, segmentation, serving
from fcn.predict.own_door import OwnDoor

if TYPE_CHECKING:
    from fcn.predict.predictor import Predictor

SECONDS = 60.0
"""After which a request is given up."""
MAX_BODY = 100_000_000
"""Bytes of a request."""
FORMS = (
    "one of dataframe_records, dataframe_split, instances and inputs, see docs/how-to/serving.md"
)


class _Row(BaseModel, extra="forbid"):
    image: Any


class _Split(BaseModel, extra="forbid"):
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]
    data: list[Annotated[list[Any], Field(min_length=1, max_length=1)]]


class _Columns(BaseModel, extra="forbid"):
    image: list[Any]


class _Params(BaseModel, extra="forbid"):
    opacity: float | None = None


class Asked(BaseModel, extra="forbid"):
    """A request: the pictures in one of MLflow's four forms, and parameters."""

    dataframe_records: list[_Row] | None = None
    dataframe_split: _Split | None = None
    instances: list[_Row] | None = None
    inputs: _Columns | None = None
    params: _Params | None = None

    def pictures(self) -> list[Any]:
        """What stands for the pictures, in base64 if the request is right.

        Raises:
            UserError: not exactly one form, or another column than `image`.
        """
        given = self.model_dump(exclude_none=True, exclude={"params"})
        if len(given) != 1:
            raise UserError(f"request: expected {FORMS}; got {', '.join(given) or 'none of them'}")
        if self.dataframe_split:
            if self.dataframe_split.columns != ["image"]:
                raise UserError("request: expected the column `image` and no other")
            return [row[0] for row in self.dataframe_split.data]
        if self.inputs:
            return self.inputs.image
        return [row.image for row in self.dataframe_records or self.instances or ()]


def application(
    net: "Predictor", allowed: Sequence[str] = (), seconds: float = SECONDS
) -> Starlette:
    """The server as an ASGI application: POST /invocations, GET /ping and /health.

    Args:
        net: answers one request at a time, a tile each.
        allowed: see `OwnDoor`.
        seconds: after which a request is given up.
    """
    turns = serving.Turns()

    def answers(body: bytes) -> list[dict[str, Any]]:
        asked = reading.parse_json(body, Asked, "request", f"send {FORMS}")
        given = asked.params.opacity if asked.params else None
        opacity = segmentation.OPACITY if given is None else given
        predict = serving.within(net, turns, seconds)
        return serving.answers(asked.pictures(), predict, opacity, net.cost)

    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return _refused(415, "expected a request with Content-Type: application/json")
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                return _refused(
                    413, f"a request may have {MAX_BODY:,} bytes: ask for fewer at once"
                )
        try:
            return JSONResponse({"predictions": await run_in_threadpool(answers, body)})
        except UserError as error:
            return _refused(400, str(error))

    async def ping(_: Request) -> Response:
        return PlainTextResponse("\n")

    routes = [Route("/invocations", invocations, methods=["POST"])]
    routes += [Route(path, ping) for path in ("/ping", "/health")]
    return Starlette(routes=routes, middleware=[Middleware(OwnDoor, allowed=allowed)])


def _refused(status: int, message: str) -> Response:
    codes = {400: "BAD_REQUEST", 413: "TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
    return JSONResponse({"error_code": codes[status], "message": message}, status)


def serve(folder: Path, port: int, allowed: Sequence[str] = (), seconds: float = SECONDS) -> None:
    """Serves a model on 127.0.0.1 until Ctrl-C.

    Args:
        folder: with `model.json` and `weights.npz`.
        port: to listen on; 0: one that is free.
        allowed: see `OwnDoor`.
        seconds: see `application`.

    Raises:
        UserError: the port is taken, or no model folder.
    """

    def build() -> Starlette:
        from fcn.predict import predictor  # only now: a port that is taken is told at once

        return application(predictor.load(folder), allowed, seconds)

    local.serve(build, port, "It answers on {} until Ctrl-C.")
