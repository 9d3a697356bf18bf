"""What came out of a pipeline: on the console, and with the pipeline's own run in Prefect."""

import base64
import contextlib
import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path

from fcn.errors import UserError
from fcn.evaluate import Evaluation
from flows.runner import console, output
from tasks.settings import config
from tasks.tracking import SCORES, steps

REPORT = Path("report")
PICTURES = {
    "overview.jpg": "Images, truth, and what each model makes of them",
    "worst.jpg": "The images with the lowest IU",
    "boundary.png": "Mean IU around the true boundaries",
}
"""Of the report, as far as they are there."""
SHORT = {"mean_iu": "mean IU", "frequency_weighted_iu": "f.w. IU"}


def say(seen: "console.Console") -> None:
    """Ends a run on the console: scores, seconds by stage, the report, and what to type next."""
    for line in [*_scores([*seen.seconds, *seen.skipped]), *_seconds(seen.seconds), *_next()]:
        seen.say(line)


def say_nothing_to_do(stages: Sequence[str]) -> None:
    """Ends a run in which no stage is out of date."""
    number = "1 stage is" if len(stages) == 1 else f"{len(stages)} stages are"
    output.say(f"Nothing to do: {number} up to date.")
    output.say("\n".join([*_scores(stages), *_next()]))


def _scores(stages: Sequence[str]) -> list[str]:
    """The table of the scores, if they are of interest: if a model was to be evaluated."""
    known = {name.partition("@")[2] for name in stages if name.startswith("evaluate@")}
    rows = {name: scores for name, scores in _read().items() if name in known}
    if not rows:
        return []
    width = max(map(len, ["%", *rows]))
    names = [SHORT.get(name, name.replace("_", " ")) for name in SCORES]
    lines = ["  ".join([f"{'%':{width}}", *names])]
    for variant, scores in rows.items():
        values = zip(names, (scores[key] for key in SCORES), strict=True)
        numbers = (f"{100 * value:{len(name)}.2f}" for name, value in values)
        lines.append("  ".join([f"{variant:{width}}", *numbers]))
    return lines


def _seconds(seconds: dict[str, float]) -> list[str]:
    listed = ", ".join(f"{stage} {value:.0f}" for stage, value in seconds.items())
    return [f"Seconds: {listed}; together {sum(seconds.values()):.0f}"] if seconds else []


def _next() -> list[str]:
    """Where the report is, and what to type."""
    page, trained = REPORT / "index.html", [*_read()]
    typed = ["`fcn ui` (pages of Prefect and MLflow)"]
    if trained:
        typed.insert(0, f"`fcn predict --model {trained[-1]} PHOTO`")
    lines = [f"Next: {', '.join(typed)}"]
    if page.is_file():
        lines.insert(0, f"Report: {page}")
    return lines


def _read() -> dict[str, dict[str, float]]:
    """By variant, its scores, as far as they are there."""
    found = {}
    with contextlib.suppress(UserError):  # the pipeline is done, and no such file is its own
        for variant in config.read().variants:
            if (path := Path("metrics", f"{variant}.json")).is_file():
                found[variant] = Evaluation(path).scores
    return found


def show() -> None:
    """Shows in Prefect what the stages have left in `metrics/` and `report/`, as far as it is
    there.
    """
    from flows.runner import recorded

    rows = [
        {"model": variant, **{key.replace("_", " "): f"{scores[key]:.4f}" for key in SCORES}}
        for variant, scores in _read().items()
    ]
    if rows:
        steps.show("result", "The scores of the models", table=rows)
    for name, text in PICTURES.items():
        if (picture := REPORT / name).is_file():
            kind = mimetypes.guess_type(name)[0]
            url = f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
            steps.show(f"result-{picture.stem}", text, image=url)
    found = os.environ.get(recorded.FOUND)
    if found and (REPORT / "index.html").is_file():
        steps.show("result-report", "The report", link=f"{found.removesuffix('/api')}/report/")
