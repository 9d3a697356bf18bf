"""A Prefect API for every process of this project: the configured one, a running local one, or one of our own.

Prefect's own answer to "no server is there", its ephemeral mode, starts a server in every process: that costs ten seconds
a stage and makes Ctrl-C hang, so it is switched off here. Instead the first process that needs a server starts one that
all others join. It is no child of theirs and ends by itself soon after the last process that uses it.
"""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import prefect
import psutil
from prefect.context import refresh_global_settings_context
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings, temporary_settings
from pydantic import BaseModel, Field
from sqlalchemy.engine import URL

from fcn.io import public
from fcn.predict import OwnDoor, origins
from flows.runner.processes import identity, is_alive
from tasks.settings import config

FOUND = "FCN_PREFECT_FOUND"  # the API that a process above found or started: that of PREFECT_API_URL, but nobody configured it
START_SECONDS = 180.0  # a first start creates the database and copies the UI: 5 s here, far more on a busy disk
STOP_SECONDS = 15.0  # a service of the server that has not stopped by then is not waited for
ANSWER_SECONDS = 5.0  # for our own server, which may have much to do
STRANGER_SECONDS = 2.0  # for whoever listens on the default port; asked twice at most
GRACE_SECONDS = 5.0  # long enough for an interrupted stage to record its end, and for the next command to join


ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


class Unavailable(RuntimeError):
    """No Prefect API can be reached or started; the message says why."""


NO_PREFECT = (
    Unavailable,
    httpx.HTTPError,
    httpx.InvalidURL,
    PrefectException,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
"""What Prefect's client raises where there is no API, or where what answers makes no sense to it."""


class Entry(BaseModel):
    """What `server.json` says of our server; `server` and `users` are identities of processes."""

    server: str
    url: str = Field(pattern=r"^http://127\.0\.0\.1:\d+/api$")
    users: list[str] = []


def home() -> Path:
    """The absolute folder of Prefect's database, `home` in Prefect's settings (pyproject.toml, PREFECT_HOME, profile).

    A relative one is meant from the project's root, also for an experiment that DVC runs in a copy of the project: the copy
    vanishes, the record of its runs must not.
    """
    return config.root() / get_current_settings().home


@contextlib.contextmanager
def connected(*users: psutil.Process) -> Iterator[str]:
    """Let Prefect talk to an API inside this context, and yield the API's address.

    In this order: `PREFECT_API_URL` (environment, profile or file), our own server where it runs, a healthy local server on
    the default port, our own server, started now; our own stays while any of `users` lives. A process below one that has
    found a server uses the same, and looks for another only if that one is gone: our own has the same runs in its database.

    Raises:
        Unavailable: there is none and none can be started.
    """
    settings = get_current_settings()
    own = {
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # 14 s for each request, not 62, where a server went away in mid-run.
        "PREFECT_CLIENT_MAX_RETRIES": os.environ.get("PREFECT_CLIENT_MAX_RETRIES", "3"),
    }
    url, names = settings.api.url, [identity(user) for user in users]
    if url is not None and url == os.environ.get(FOUND) and not _is_healthy(url):
        url = None
    if url is not None:
        _check_reachable(url)
    else:
        try:
            url = join(home(), names, None) or _default() or join(home(), names)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"no Prefect server can be started in {home()}: {error}") from error
        own[FOUND] = url
        own["PREFECT_API_URL"] = url
        # A proxy that is configured for the world must not be asked for a server on this machine.
        direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        own["no_proxy"] = f"{direct},127.0.0.1" if direct else "127.0.0.1"
    in_context = {
        "api.url": url,  # and in the environment, because a thread starts without a context
        "flows.heartbeat_frequency": None,  # costs a second at the end of each run; what it is for, `runs.reconcile` does
        "results.default_serializer": "json",  # Prefect keeps the exceptions of failed runs in files: no pickles
    }
    with _environment(own), temporary_settings(in_context):
        yield url


def is_there() -> bool:
    """Whether `connected` would start no server: an API is configured, or a server of this machine runs."""
    try:
        return bool(get_current_settings().api.url or join(home(), [], None) or _default())
    except OSError:
        return False


def _default() -> str | None:
    """The address of a healthy server on this machine's default port."""
    url = f"http://127.0.0.1:{get_current_settings().server.api.port}/api"
    return url if _is_healthy(url, STRANGER_SECONDS) else None


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables and let Prefect's settings follow, in here and back again after it."""
    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    refresh_global_settings_context()
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
        refresh_global_settings_context()


def _check_reachable(url: str) -> None:
    """Any answer is good: what a 401 means, Prefect's own message says best. Raises Unavailable if there is none."""
    try:
        with httpx.stream("GET", f"{url}/health", timeout=ANSWER_SECONDS):
            pass  # the body is nobody's concern, and may have no end
    except (httpx.TransportError, httpx.InvalidURL) as error:
        shown = public(f"the Prefect API {url} (PREFECT_API_URL or Prefect profile) is not there: {error}")
        raise Unavailable(shown) from error


def _is_healthy(url: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Ask a server on this machine, past any proxy, whether it is a Prefect server of this major version."""
    deadline, said = time.monotonic() + seconds, b""
    try:
        with httpx.stream("GET", f"{url}/admin/version", timeout=seconds, trust_env=False) as answer:
            for piece in answer.iter_bytes():
                said += piece
                if len(said) > 100 or time.monotonic() > deadline:
                    return False
        version = json.loads(said) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(version, str) and version.split(".")[0] == prefect.__version__.split(".")[0]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """Hold the lock around joining and stopping our server; yields the file that describes the server."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process that holds it, however that ends
        yield folder / "server.json"


def _read(file: Path) -> Entry | None:
    """What the file says; None if there is none, or it is not what `_write` writes."""
    try:
        return Entry.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write(file: Path, entry: Entry) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(entry.model_dump_json())
    os.replace(partial, file)


def join(folder: Path, users: list[str], port: int | None = 0) -> str:
    """Register `users` with our server in `folder`.

    Args:
        folder: of Prefect's database, see `home`.
        users: `identity` of each process that needs the server.
        port: where to start it if it does not run (0: any free port); None: do not start it.

    Returns:
        Its API's address; "" if there is none.

    Raises:
        OSError: it does not start, or (errno EADDRINUSE) the port is taken.
    """
    if port is None and not (folder / "server.json").exists():
        return ""
    with _locked(folder) as file:
        entry = _read(file)
        if not (entry and is_alive(entry.server) and _is_healthy(entry.url)):
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
    """Take `user` from our server, and end the server if nobody else needs it.

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


def _start(folder: Path, port: int) -> Entry:
    """Start our server in a session of its own, and wait until it answers."""
    log = folder / "server.log"
    # The server inherits the bound socket, so that nobody else can take the port meanwhile.
    with socket.create_server(("127.0.0.1", port)) as listener, log.open("w") as output:
        number = listener.getsockname()[1]
        url = f"http://127.0.0.1:{number}"
        allowed = [*origins(number), *filter(None, os.environ.get(ORIGINS, "").split(","))]
        # Of a stage that starts it, it is no part.
        environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"} | {
            "PREFECT_HOME": str(folder),
            **_database(folder),
            "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # else the UI asks the default port
            ORIGINS: ",".join(allowed),  # else any page may read and write
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        }
        command = [sys.executable, "-m", "flows.runner.server", str(listener.fileno()), str(folder)]
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            env=environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in our terminal is not meant for it
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_healthy(f"{url}/api"):
            if process.poll() is not None:
                raise OSError(f"it ended with code {process.returncode}; {_last_line(log)} (all of it in {log})")
            if time.monotonic() > deadline:
                raise OSError(f"it did not answer within {START_SECONDS:.0f} s; see {log}")
            time.sleep(0.1)
        if _database(folder) and not (folder / "prefect.db").is_file():
            raise OSError("its database is in another place; set PREFECT_HOME to a folder with a plainer name")
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = 0  # it outlives us: no "still running" warning when this object goes
    return Entry(server=identity(psutil.Process(process.pid)), url=f"{url}/api")


def _database(folder: Path) -> dict[str, str]:
    """Where the database is to be, where nobody has said it: in a folder that may hold ? and %."""
    if {"connection_url", "driver", "name", "host"} & get_current_settings().server.database.model_fields_set:
        return {}
    url = URL.create("sqlite+aiosqlite", database=(folder / "prefect.db").as_posix())
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url.render_as_string(hide_password=False)}


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _serve(listener: int, folder: Path) -> None:
    """Be the server (in the process that `_start` made) until nobody needs it."""
    import uvicorn
    from prefect.server.api.server import create_app

    given = os.environ[ORIGINS].split(",")
    app = OwnDoor(create_app(final=True), [urlsplit(each).hostname or each for each in given])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))

    def watch() -> None:
        _wait_until_unused(folder, identity(psutil.Process()))
        server.should_exit = True
        time.sleep(STOP_SECONDS)
        os._exit(0)  # a service that does not stop must not leave a server behind

    threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=listener)])


def _wait_until_unused(folder: Path, me: str) -> None:
    """Return once all users of the server `me` have been gone for a while, or its file names another server or is gone."""
    last_used = time.monotonic()
    while True:
        time.sleep(1)
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
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
