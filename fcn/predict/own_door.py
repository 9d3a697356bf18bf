"""A server of this machine answers its own pages alone, not those that anybody else lets the user's
browser load.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost", "::1")


def origins(port: int) -> list[str]:
    """The origins of a server that listens on this machine alone, as a browser names them.

    Args:
        port: that it listens on.

    Example:
        >>> origins(7860)
        ['http://127.0.0.1:7860', 'http://localhost:7860', 'http://[::1]:7860']
    """
    return [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")]


class OwnDoor:
    """ASGI middleware: 403 for a Host that is not this machine's, and for an Origin that is not the
    server's own.

    A page of the internet may send requests to 127.0.0.1, which then have that page's Origin; or
    let its own name resolve to 127.0.0.1 ("DNS rebinding"), which then is the Host.
    """

    def __init__(self, app: App, allowed: Sequence[str] = ()) -> None:
        """Stands before `app`.

        Args:
            app: what answers.
            allowed: further names, of a proxy in front of the server, without a port; with "*" all
                may ask.
        """
        self._app = app
        self._allowed = {name.lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or answers it."""
        why = self._wrong(scope) if scope["type"] in ("http", "websocket") else ""
        if not why:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": why})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": f"{why}\n".encode()})

    def _wrong(self, scope: Scope) -> str:
        if "*" in self._allowed:
            return ""
        found: dict[bytes, list[str]] = {b"host": [], b"origin": []}
        for name, value in scope["headers"]:
            found.get(name.lower(), []).append(value.decode("latin-1"))
        hosts, origins = found[b"host"], found[b"origin"]
        if len(hosts) != 1 or _name(f"//{hosts[0]}") not in {*HOSTS, *self._allowed}:
            return (
                "The Host is not this server's: open it as http://127.0.0.1, or name the host "
                "with --allow."
            )
        for origin in origins:
            own = urlsplit(origin).netloc.lower() == hosts[0].lower()
            if not own and _name(origin) not in self._allowed:
                return "The Origin is not this server's: pages of others may not ask it."
        return ""


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
