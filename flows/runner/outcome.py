"""What came out of a pipeline, shown with the pipeline's own run: the scores, the report and its
first picture.
"""

import base64
import contextlib
import os
from pathlib import Path

from fcn.errors import UserError
from fcn.evaluate import Evaluation
from flows.runner import recorded
from tasks.settings import config
from tasks.tracking import SCORES, steps

REPORT = Path("report")


def show() -> None:
    """Shows what the stages have left in `metrics/` and `report/`, as far as it is there."""
    with contextlib.suppress(UserError):  # the pipeline is done, and no such file is its own
        rows = []
        for variant in config.read().variants:
            if (path := Path("metrics", f"{variant}.json")).is_file():
                scores = Evaluation(path).scores
                rows.append(
                    {
                        "model": variant,
                        **{key.replace("_", " "): f"{scores[key]:.4f}" for key in SCORES},
                    }
                )
        if rows:
            steps.show("result", "The scores of the models", table=rows)
    picture = REPORT / "overview.jpg"
    if picture.is_file():
        url = f"data:image/jpeg;base64,{base64.b64encode(picture.read_bytes()).decode()}"
        steps.show("result-overview", "Images, truth, and what each model makes of them", image=url)
    found = os.environ.get(recorded.FOUND)
    if found and (REPORT / "index.html").is_file():
        steps.show("result-report", "The report", link=f"{found.removesuffix('/api')}/report/")
