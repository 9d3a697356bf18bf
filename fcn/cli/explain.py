"""`fcn explain IMAGE`: what a net does with a photograph, step by step, as a page."""

from typing import Annotated

from cyclopts import Parameter

from fcn import pretrained
from fcn.cli import quiet
from fcn.cli.options import MADE, Model, Place, model_folder
from fcn.errors import shown


def explain(
    image: Annotated[Place, Parameter(name="IMAGE")],
    /,
    *,
    model: Model = pretrained.DEFAULT,
    out: Annotated[Place | None, Parameter(group=MADE)] = None,
) -> None:
    """Show what a net does with a photograph: its scores at every stride, and what each skip adds.

    Writes one HTML file, which needs no network.

    Example: `fcn explain photo.jpg`

    Args:
        image: A photograph; it is reduced to 500 pixels.
        model: Which net.
        out: The page; if none is given, IMAGE-explained.html beside the photograph.

    Raises:
        UserError: no photograph, no such net, or the page cannot be written.
    """
    from fcn.io import files
    from fcn.pixels import images

    target = out or image.with_name(f"{image.stem}-explained.html")
    files.check_file(target, "--out")
    folder, picture = model_folder(model), images.read(image)

    with quiet.tensorflow():  # only now: it takes seconds
        from fcn.evaluate import explain as steps
        from fcn.explain import page
        from fcn.hardware import devices
        from fcn.net import surgery

    devices.prepare(seed=0, training=False)
    net, spec = surgery.load(folder)
    text = page.page(steps.explain(net, spec, picture), spec, image.name)
    with files.replacing_file(target) as path:
        path.write_text(text, encoding="utf-8")
    print(f"{shown(target)}: open it in a browser; it needs no network")
