"""A server of this machine alone: its socket, and the bytes of a request."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from fcn.errors import UserError

HOST = "127.0.0.1"
GRACE = 5
"""Seconds that requests have to end after Ctrl-C."""


def serve(build: Callable[[], Starlette], port: int, says: str) -> None:
    """Serves on 127.0.0.1 until Ctrl-C.

    Args:
        build: makes the application; it is called after the port is found to be free.
        port: to listen on; 0: one that is free.
        says: what is printed once it answers; `{}` is where.

    Raises:
        UserError: the port cannot be had.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen()
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise UserError(
                    f"--port {port}: another program listens there; choose another one, or 0 for "
                    "one that is free"
                ) from error
            raise UserError(f"--port {port}: {error}") from error
        app = build()
        print(says.format(f"http://{HOST}:{listening.getsockname()[1]}"), flush=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE)
        logging.getLogger("uvicorn.error").addFilter(_told)
        uvicorn.Server(config).run(sockets=[listening])


def _told(record: logging.LogRecord) -> bool:
    """Not that Ctrl-C ended a request, which uvicorn tells as an error, with a traceback."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and "graceful shutdown exceeded" not in str(record.msg)


async def body(request: Request, most: int) -> bytes | None:
    """What a request carries; None: more than `most` bytes, of which the rest is not read."""
    found = bytearray()
    async for piece in request.stream():
        found += piece
        if len(found) > most:
            return None
    return bytes(found)
