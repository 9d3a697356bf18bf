"""`fcn web`: a page to drop pictures on."""

from fcn import pretrained
from fcn.cli import workspace
from fcn.cli.options import Allow, Model, Port, model_folder


def web(*, model: Model = pretrained.DEFAULT, port: Port = 7860, allow: Allow = None) -> None:
    """Serve a page to drop pictures on, on this machine alone, until Ctrl-C.

    Nothing comes from the internet, and nothing leaves this machine.

    Example: `fcn web --model fcn8s`

    Args:
        model: The net that is chosen at first; the page offers all that are here.
        port: Where to listen.
        allow: Hosts of proxies.

    Raises:
        UserError: no such net, or the port is taken.
    """
    from fcn.predict import web_page

    chosen = model_folder(model)
    known = pretrained.folders() | workspace.trained() | {chosen.name: chosen}
    web_page.serve(web_page.Nets(dict(sorted(known.items())), chosen.name), port, allow or ())
