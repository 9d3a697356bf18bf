"""What `mlflow models serve` does, for requests of this machine alone. Imports nothing of `fcn`: a model brings its own."""

import socket
import warnings
from collections.abc import Sequence

from fcn.predict import OwnDoor


def serve(uri: str, port: int, allowed: Sequence[str] = ()) -> None:
    """Serves a model on 127.0.0.1 until Ctrl-C.

    Args:
        uri: of a model, such as `models:/fcn-sample@champion`, or its folder.
        port: to listen on.
        allowed: see `OwnDoor`.

    Raises:
        ValueError: the port is taken, or see `answering`.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise ValueError(f"--port {port}: {error}") from error
        app = answering(uri, allowed)
        import uvicorn

        print(f"It answers on http://127.0.0.1:{listening.getsockname()[1]} until Ctrl-C.", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


def answering(uri: str, allowed: Sequence[str]) -> "fastapi.FastAPI":  # type: ignore[name-defined] # noqa: F821
    """MLflow's scoring server of a model behind `OwnDoor`.

    Raises:
        ValueError: there is no such model.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint", UserWarning)  # of MLflow's own annotations
        import mlflow.pyfunc  # seconds
        from mlflow.exceptions import MlflowException
        from mlflow.pyfunc import scoring_server

    try:
        model = mlflow.pyfunc.load_model(uri)
    except (MlflowException, OSError) as error:
        raise ValueError(f"{uri}: expected a model of MLflow's, a folder or models:/NAME@ALIAS: {error}") from error
    app = scoring_server.init(model)
    app.add_middleware(OwnDoor, allowed=allowed)
    return app
