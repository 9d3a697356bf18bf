"""This workspace's own Prefect server: started by the first process that needs it, joined by all
others of the workspace.

Prefect's own answer to "no server is there", its ephemeral mode, starts a server in every process:
that costs ten seconds a stage and makes Ctrl-C hang. Ours is no child of those who use it, and ends
by itself soon after the last of them. What answers on its port is believed only if it proves to be
the one of this workspace. Nothing here imports Prefect but the server itself.
"""

import contextlib
import hashlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from pydantic import BaseModel, Field

from fcn.io import locks, replacing_file
from fcn.predict import OwnDoor, origins
from flows.runner import output, runs
from flows.runner.processes import identity, is_alive
from tasks.tracking import checkout, database

# a first start creates the database and copies the UI: 5 s here, far more on a busy disk
START_SECONDS = 180.0
STOP_SECONDS = 15.0  # a service of the server that has not stopped by then is not waited for
ANSWER_SECONDS = 20.0  # it may have much to do, or its database may be locked
# long enough for an interrupted stage to record its end, and for the next command to join
GRACE_SECONDS = 5.0
PROOF = "/workspace"  # where our server says whose it is
TOKEN = "FCN_SERVER_TOKEN"
ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
DATABASE = "PREFECT_SERVER_DATABASE_"


class Entry(BaseModel):
    """What `server.json` says of our server; `server` and `users` are identities of processes."""

    server: str
    url: str = Field(pattern=r"^http://127\.0\.0\.1:\d+/api$")
    token: str
    users: list[str] = []


def home() -> Path:
    """The absolute folder of Prefect's database: `.prefect` in the checkout, or PREFECT_HOME.

    That of the checkout also for an experiment that DVC runs in a copy of it: the copy vanishes,
    the record of its runs must not.
    """
    return checkout.root() / (os.environ.get("PREFECT_HOME") or ".prefect")


def join(folder: Path, users: list[str], port: int | None = 0) -> str:
    """Registers `users` with our server in `folder`.

    Args:
        folder: of Prefect's database, see `home`.
        users: `identity` of each process that needs the server.
        port: where to start it if it does not run (0: where it was last, or any free port); None:
            do not start it.

    Returns:
        Its API's address; "" if there is none.

    Raises:
        OSError: it does not start, or (errno EADDRINUSE) the port is taken.
    """
    if port is None and not (folder / "server.json").exists():
        return ""
    with _locked(folder) as file:
        entry = _read(file)
        if not (entry and is_alive(entry.server) and _is_ours(entry, folder)):
            if port is None:
                return ""
            entry = _start(folder, port)
        entry.users = sorted({*filter(is_alive, entry.users), *users})
        _write(file, entry)
        return entry.url


def serving(folder: Path) -> str:
    """The `identity` of our server's process, as `join` entered it; "" if there is none."""
    entry = _read(folder / "server.json")
    return entry.server if entry else ""


def leave(folder: Path, user: str) -> bool:
    """Takes `user` from our server, and ends the server if nobody else needs it.

    Returns:
        Whether others still need it; it ends by itself after them.
    """
    with _locked(folder) as file:
        entry = _read(file)
        if entry:
            entry.users = [each for each in entry.users if each != user and is_alive(each)]
            if entry.users:
                _write(file, entry)
                return True
        file.unlink(missing_ok=True)  # which the server sees, and ends
    deadline = time.monotonic() + STOP_SECONDS + 5
    while entry and is_alive(entry.server) and time.monotonic() < deadline:
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Holds the lock around joining and stopping our server; yields the file that describes the
    server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locks.locked(folder / "server.lock"):
        yield folder / "server.json"


def _read(file: Path) -> Entry | None:
    """What the file says; None if there is none, or it is not what `_write` writes."""
    try:
        return Entry.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(file: Path, entry: Entry) -> None:
    with replacing_file(file) as partial:
        partial.touch(mode=0o600)
        partial.write_text(entry.model_dump_json())


def proof(token: str, folder: Path) -> str:
    """What the server that works in `folder` answers: a copy of the folder, with the same token,
    expects another.
    """
    return hashlib.sha256(f"{token} {folder.resolve()}".encode()).hexdigest()


def _is_ours(entry: Entry, folder: Path) -> bool:
    """Asks what listens on this machine, past any proxy, whether it is the
    server of this folder.
    """
    deadline, said = time.monotonic() + ANSWER_SECONDS, b""
    try:
        with httpx.stream(
            "GET", entry.url.removesuffix("/api") + PROOF, timeout=ANSWER_SECONDS, trust_env=False
        ) as answer:
            for piece in answer.iter_bytes():
                said += piece
                if len(said) > 100 or time.monotonic() > deadline:
                    return False
    except httpx.HTTPError:
        return False
    return said == proof(entry.token, folder).encode()


def _start(folder: Path, port: int) -> Entry:
    """Starts our server in a session of its own, waits until it answers, and ends the rows of
    processes that were killed.
    """
    log, token, settings = folder / "server.log", secrets.token_hex(), _database(folder)
    path = folder / "prefect.db"
    if found := database.set_aside(path, "quick_check"):
        output.say(
            f"{path}: damaged ({found[1]}), set aside as {found[0].name}; Prefect begins a new "
            "one, without the runs so far"
        )
    # The server inherits the bound socket, so that nobody else can take the port meanwhile.
    with checkout.listen("prefect", port) as listener:
        number = listener.getsockname()[1]
        url = f"http://127.0.0.1:{number}"
        allowed = [*origins(number), *filter(None, os.environ.get(ORIGINS, "").split(","))]
        # Of a stage that starts it, it is no part.
        environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"} | {
            "PREFECT_HOME": str(folder),
            **settings,
            TOKEN: token,
            "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # else the UI asks the default port
            ORIGINS: ",".join(allowed),  # else any page may read and write
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        }
        words = ["flows.runner.server", str(listener.fileno()), str(folder), str(checkout.root())]
        code = Path(__file__).parents[2]
        process = checkout.detached(words, log, listener.fileno(), code, environment)
    entry = Entry(server=identity(psutil.Process(process.pid)), url=f"{url}/api", token=token)
    try:
        _wait_for(process, entry, folder, log)
        if settings and not path.is_file():
            raise OSError(
                "its database is in another place; set PREFECT_HOME to a folder with a plainer name"
            )
        with (
            contextlib.suppress(httpx.HTTPError, ValueError, LookupError),
            client(entry.url) as asking,
        ):
            runs.reconcile(asking, all_are_ours=bool(settings))
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = 0  # it outlives us: no "still running" warning when this object goes
    return entry


def _wait_for(process: subprocess.Popen[bytes], entry: Entry, folder: Path, log: Path) -> None:
    """Waits until our server answers; raises OSError if it does not."""
    deadline = time.monotonic() + START_SECONDS
    while not _is_ours(entry, folder):
        if process.poll() is not None:
            raise OSError(
                f"it ended with code {process.returncode}; {_last_line(log)} (all of it in {log})"
            )
        if time.monotonic() > deadline:
            raise OSError(f"it did not answer within {START_SECONDS:.0f} s; see {log}")
        time.sleep(0.1)


def client(url: str) -> httpx.Client:
    """A plain client of a server of this machine, for `flows.runner.runs`."""
    return httpx.Client(base_url=url, timeout=60, trust_env=False)


def _database(folder: Path) -> dict[str, str]:
    """Where the database is to be, where nobody has said it: in a folder that may hold ? and %."""
    if any(name.startswith((DATABASE, "PREFECT_API_DATABASE_")) for name in os.environ):
        return {}
    return {f"{DATABASE}CONNECTION_URL": database.sqlite("aiosqlite", folder / "prefect.db")}


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _serve(listener: int, folder: Path, root: Path) -> None:
    """Is the server (in the process that `_start` made) until nobody needs it."""
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    me, whose = identity(psutil.Process()), proof(os.environ.pop(TOKEN), folder)
    app = create_app(final=True)
    report = StaticFiles(directory=root / "report", html=True, check_dir=False)
    report.config_checked = True  # a folder that is not there yet is no fault
    # Before Prefect's own, of which the last one takes all that is left.
    app.router.routes[:0] = [
        Route(PROOF, lambda _: PlainTextResponse(whose)),
        Mount("/report", report),
    ]
    given = {urlsplit(each).hostname or each for each in os.environ[ORIGINS].split(",")}
    own = {urlsplit(each).hostname for each in origins(0)}  # of these, the port counts too
    door = OwnDoor(app, sorted(given - own))
    server = uvicorn.Server(uvicorn.Config(door, log_level="warning", timeout_graceful_shutdown=2))

    def watch() -> None:
        _wait_until_unused(folder, me)
        server.should_exit = True
        time.sleep(STOP_SECONDS)
        os._exit(0)  # a service that does not stop must not leave a server behind

    threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=listener)])


def _wait_until_unused(folder: Path, me: str) -> None:
    """Returns once all users of the server `me` have been gone for a while, or its file names
    another server or is gone.
    """
    last_used = time.monotonic()
    while True:
        time.sleep(1)
        if not folder.is_dir():  # it was moved, and shall not be made again
            return
        with _locked(folder) as file:
            entry = _read(file)
            if not entry or entry.server != me:
                return
            if any(map(is_alive, entry.users)):
                last_used = time.monotonic()
            elif time.monotonic() - last_used > GRACE_SECONDS:
                file.unlink()
                return


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
