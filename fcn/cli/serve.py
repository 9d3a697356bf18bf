"""`fcn serve`: a net as a server for programs."""

from typing import Annotated

from cyclopts import Parameter

from fcn import pretrained
from fcn.cli.options import SERVER, Allow, Model, Port, model_folder


def serve(
    model: Model = pretrained.DEFAULT,
    *,
    port: Port = 5001,
    allow: Allow = None,
    seconds: Annotated[float, Parameter(group=SERVER)] = 60,
) -> None:
    """Answer programs on 127.0.0.1, until Ctrl-C.

    They send pictures as base64 and get class maps and overlays; docs/how-to/serving.md has the
    form.

    Example: `fcn serve fcn8s --port 5001`

    Args:
        model: Which net.
        port: Where to listen.
        allow: Hosts of proxies.
        seconds: After which a request is given up.

    Raises:
        UserError: no such net, a library is not installed, or the port is taken.
    """
    folder = model_folder(model)

    from fcn.predict import server

    server.serve(folder, port, allow or (), seconds)
