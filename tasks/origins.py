"""Who may talk to a server of this machine: its own pages, and programs; no page of anybody else's.

Any page that is open in the user's browser can send requests to 127.0.0.1. The browser says where the
page comes from (`Origin`), and under which name it asks (`Host`): a name of the page's own that leads to
127.0.0.1 is how DNS rebinding gets around the browser's rules.
"""

from collections.abc import Iterable
from typing import Any


def own(port: int) -> list[str]:
    """The origins of a server that listens on this machine alone, as a browser names them."""
    return [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")]


class OwnOrigins:
    """An ASGI application around another one, which it keeps from foreign hosts and origins."""

    def __init__(self, app: Any, origins: Iterable[str]) -> None:
        """`origins`: those that may, see `own`; with "*" all may."""
        self._app, self._origins = app, {origin.strip().lower() for origin in origins}
        self._hosts = {origin.partition("://")[2] for origin in self._origins}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the application does, or refuse: 400 for a foreign host, 403 for a foreign origin."""
        if scope["type"] not in ("http", "websocket") or "*" in self._origins:
            refused = 0
        else:
            headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
            if headers.get(b"host") not in self._hosts:
                refused = 400
            else:
                origin = headers.get(b"origin")  # programs have none
                refused = 403 if origin is not None and origin not in self._origins else 0
        if not refused:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            said = {400: b"Invalid Host header", 403: b"Foreign Origin"}[refused]
            answer = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(said))]
            await send({"type": "http.response.start", "status": refused, "headers": answer})
            await send({"type": "http.response.body", "body": said})
