"""The web page: drop a picture, see its classes over it, with a legend. Gradio is the toolkit;
nothing comes from the internet.

The page holds the picture and, as a second one over it, the class map: the opacity slider is one
number of its style, and asks neither the server nor the net.
"""

import base64
import functools
import html
import io
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fcn.errors import UserError
from fcn.pixels import labels, visualize
from fcn.predict import serving
from fcn.predict.own_door import OwnDoor

if TYPE_CHECKING:
    from fcn.predict.predictor import Predictor

HOST = "127.0.0.1"
AT_ONCE = 8
"""Pictures that are in memory at a time. Their tiles take turns: a small picture waits for one tile
of a large one.
"""
_TURNS = serving.Turns()
ENDINGS = [".jpg", ".jpeg", ".png", ".webp"]
SIDE = 1600
"""Pixels of the longer side up to which a picture is shown as it is; the class map to download has
every pixel.
"""
SET_OPACITY = (
    "(percent) => { document.documentElement.style.setProperty('--classes', percent / 100); }"
)
LOOK = """() => {
  // The class under the pointer, from the colours of the legend;
  // paste gives a picture as dropping does.
  const named = (pixel) => [...document.querySelectorAll('.legend li')].find((each) =>
    each.dataset.rgb === pixel.join(' '));
  document.addEventListener('pointermove', (event) => {
    const box = event.target.closest?.('.seen');
    const said = document.querySelector('#under');
    if (!box || !said) return;
    const mask = box.querySelector('.classes');
    if (!box.drawn) {
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [mask.naturalWidth, mask.naturalHeight];
      box.drawn = canvas.getContext('2d', {willReadFrequently: true});
      box.drawn.drawImage(mask, 0, 0);
    }
    const place = box.getBoundingClientRect();
    const x = Math.floor((event.clientX - place.x) / place.width * mask.naturalWidth);
    const y = Math.floor((event.clientY - place.y) / place.height * mask.naturalHeight);
    const [r, g, b, alpha] = box.drawn.getImageData(x, y, 1, 1).data;
    said.textContent = (named(alpha ? [r, g, b] : [])?.querySelector('b')
      ?? {textContent: ''}).textContent;
  });
  document.addEventListener('paste', (event) => {
    const input = document.querySelector('#file input[type=file]');
    if (!input || !event.clipboardData?.files.length) return;
    input.files = event.clipboardData.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  });
  // The overlay as a file: both pictures, the classes as opaque as they are now.
  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('#overlay');
    if (!link) return;
    const [below, above] = document.querySelectorAll('.seen img');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [below.naturalWidth, below.naturalHeight];
    const draw = canvas.getContext('2d');
    draw.drawImage(below, 0, 0);
    draw.globalAlpha = Number(getComputedStyle(above).opacity);
    draw.drawImage(above, 0, 0, canvas.width, canvas.height);
    link.href = canvas.toDataURL('image/png');
  });
}"""
CSS = """
:root { --classes: 0.6; }
.gradio-container { width: 100%; max-width: 1200px !important; margin: auto; }
.seen { position: relative; margin: 0; width: min(100%, 80vh * var(--shape));
  aspect-ratio: var(--shape); }
.seen img { position: absolute; inset: 0; width: 100%; height: 100%; border-radius: 6px; }
.seen .classes { opacity: var(--classes); image-rendering: pixelated; }
.legend { list-style: none; margin: 0 0 1em; padding: 0; }
.legend li { display: flex; gap: .6em; align-items: center; margin: 0; padding: .15em 0;
  color: var(--body-text-color); }
.legend i { width: 1.1em; height: 1.1em; border: 1px solid var(--body-text-color-subdued);
  border-radius: 3px; flex: none; }
#under { min-height: 1.5em; margin: .3em 0; font-weight: 600; }
.legend b { font-weight: inherit; }
.legend span { margin-left: auto; font-variant-numeric: tabular-nums; }
.empty, .wrong { padding: 3em 1.5em; text-align: center;
  border: 1px dashed var(--border-color-primary); border-radius: 6px; }
.wrong { color: var(--error-text-color); background: var(--error-background-fill);
  border-color: var(--error-border-color); }
@media (max-width: 640px) { /* the picture before what is said of it */
  #controls { display: contents; }
  #file { order: 1; } #seen { order: 2; } #controls .form { order: 3; } #key { order: 4; }
}
"""
EMPTY = '<p class="empty">The picture appears here, with its classes over it.</p>'


@functools.lru_cache(maxsize=2)
def _net(folder: Path, _written: int) -> "Predictor":
    from fcn.predict import predictor

    return predictor.load(folder)


def segment(
    path: str | None, model: str | None, models: Mapping[str, Path]
) -> Iterator[tuple[str, str]]:
    """Runs a net on a picture, tile by tile: Gradio stops asking for the next one when the browser
    has gone.

    Args:
        path: of the picture; None: there is none.
        model: a key of `models`.
        models: model folders by name.

    Yields:
        HTML of how far it is, and nothing; and at last of the picture with its classes, and of what
        the net knows and the legend; or of what is wrong, and nothing.
    """
    if not path:
        yield EMPTY, ""
        return
    try:
        if model is None or model not in models:
            raise UserError(f"model: expected one of {', '.join(models)}; got {model}")
        with _TURNS.turn(0):  # the first of several pictures reads it for all
            net = _net(models[model], (models[model] / "weights.npz").stat().st_mtime_ns)
        image = serving.read(Path(path).read_bytes(), Path(path).name, serving.Budget(net.cost))
        steps = serving.predicted(net, image, _TURNS)
        while True:
            try:
                done, tiles = next(steps)
            except StopIteration as end:
                found = end.value.labels
                break
            if done < tiles:
                yield f'<p class="empty">{done} of {tiles} tiles are done.</p>', ""
    except (UserError, OSError) as error:
        yield f'<p class="wrong" role="alert">{html.escape(str(error))}</p>', ""
        return
    classes = net.spec.classes
    knows = f'<p class="knows">{html.escape(net.spec.knows)}</p>' if net.spec.knows else ""
    yield (
        view(image, found, classes),
        knows + legend(found, classes, f"{Path(path).stem}-{model}.png"),
    )


def _transparent(names: tuple[str, ...]) -> bool:
    """Whether class 0 is left as it is, as by `visualize.overlay`."""
    return not visualize.painted([np.zeros((1, 1), np.uint8)], names)


def view(image: np.ndarray, found: np.ndarray, names: tuple[str, ...]) -> str:
    """A picture and over it its classes, whose opacity is the style's variable `--classes`.

    Args:
        image: uint8 RGB (H, W, 3).
        found: uint8 labels (H, W).
        names: of the classes.
    """
    picture, mask = Image.fromarray(image), labels.to_image(found)
    picture.thumbnail((SIDE, SIDE))
    mask = mask.resize(picture.size, Image.Resampling.NEAREST)
    hidden = {"transparency": 0} if _transparent(names) else {}
    height, width = found.shape
    below = (
        f'<img alt="The picture, {width} x {height} pixels" '
        f'src="{_url(picture, "JPEG", quality=90)}">'
    )
    above = f'<img alt="Its classes" class="classes" src="{_url(mask, "PNG", **hidden)}">'
    figure = f'<figure class="seen" style="--shape: {width / height:.4f}">{below}{above}</figure>'
    return f'{figure}<p id="under" aria-live="off"></p>'


def legend(found: np.ndarray, names: tuple[str, ...], file: str) -> str:
    """Colours, names and shares of the classes that occur, and a link to the class map as a palette
    PNG called `file`.
    """
    rows = ""
    for each in serving.shares(found, names):
        clear = each["value"] == 0 and _transparent(names)
        colour = "transparent" if clear else each["colour"]
        painted = "" if clear else " ".join(map(str, bytes.fromhex(colour[1:])))
        name = html.escape(each["name"])
        spot = f'<i style="background: {colour}"></i>'
        rows += f'<li data-rgb="{painted}">{spot}<b>{name}</b><span>{each["share"]:.1%}</span></li>'
    link = (
        f'<a download="{html.escape(file)}" href="{_url(labels.to_image(found), "PNG")}">Class '
        "map as PNG</a>"
    )
    overlay = (
        '<a id="overlay" href="#" '
        f'download="{html.escape(Path(file).stem)}-overlay.png">Overlay as PNG</a>'
    )
    return f'<ul class="legend">{rows}</ul>{link}<br>{overlay}'


def _url(picture: Image.Image, form: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def build(models: Mapping[str, Path], first: str) -> Any:
    """The page as Gradio's `Blocks`.

    Args:
        models: model folders by name.
        first: the one that is chosen at first.

    Raises:
        UserError: Gradio is not installed.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise UserError(
            "gradio is not installed, and the page needs it: `make env WITH=web` in a clone, or "
            "the extra `web`"
        ) from error
    # Pictures that were dropped lie in a temporary folder: gone an hour after, and when the server
    # stops.
    with gr.Blocks(title="FCN", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# What is where in a picture?")
        gr.Markdown(
            "A fully convolutional network says it of every pixel. Nothing leaves this machine."
        )
        with gr.Row():
            with gr.Column(scale=1, min_width=280, elem_id="controls"):
                file = gr.File(
                    label="Picture: JPEG, PNG or WebP",
                    file_types=ENDINGS,
                    height=150,
                    elem_id="file",
                )
                model = gr.Radio(list(models), value=first, label="Model")
                opacity = gr.Slider(0, 100, 60, step=1, label="Opacity of the classes, %")
                key = gr.HTML(elem_id="key")
            with gr.Column(scale=2, min_width=320, elem_id="seen"):
                seen = gr.HTML(EMPTY)

        def run(path: str | None, name: str | None) -> Iterator[tuple[str, str]]:
            yield from segment(path, name, models)

        gr.on(
            [file.change, model.change], run, [file, model], [seen, key],
            api_name="segment", concurrency_limit=AT_ONCE, trigger_mode="always_last",
        )  # fmt: skip
        page.load(None, js=LOOK)
        opacity.change(None, opacity, None, js=SET_OPACITY)
    return page


def serve(page: Any, port: int, wait: bool = True, allowed: Sequence[str] = ()) -> str:
    """Serves the page on 127.0.0.1 and nowhere else.

    Args:
        page: see `build`.
        port: to listen on; 0: one that is free.
        wait: until Ctrl-C.
        allowed: see `OwnDoor`.

    Returns:
        Its address.

    Raises:
        UserError: the port is taken.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    if not port:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
    try:
        _, address, _ = page.launch(
            server_name=HOST, server_port=port, share=False, ssr_mode=False, quiet=True,
            prevent_thread_lock=True, footer_links=[], max_file_size=serving.MAX_BYTES, css=CSS,
            app_kwargs={"middleware": [Middleware(OwnDoor, allowed=allowed)]},
            theme=gr.themes.Default(
                font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
            ),
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"--port {port}: {error}") from error
    if wait:
        print(f"The page is at {address} until Ctrl-C.", flush=True)
        page.block_thread()
    return str(address)
