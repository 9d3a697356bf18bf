"""Which of a profile's files can be had: those that lie here already, and those whose server
answers.
"""

import queue
import threading
import time
from collections.abc import Iterable

import requests
import urllib3

from fcn.errors import UserError, shown
from fcn.io import download, public
from fcn.spec import Source

SECONDS = 5.0
"""How long all servers together have for an answer."""
PAUSE = 1.0
"""Seconds after which a server that refused is asked once more."""
_GATEWAY = (502, 503, 504)
"""What a proxy answers that reaches nobody."""


def check(profile: str, missing: Iterable[Source], seconds: float = SECONDS) -> None:
    """Says at once that there is no network, where files are to be downloaded.

    As soon as one server answers, there is one; what one file's server has to say is its download's
    matter.

    Args:
        profile: its name, for the message.
        missing: the files that do not lie here.
        seconds: see `SECONDS`.

    Raises:
        UserError: none of their servers answers. It names the files, where they come from, and how
            to bring them.
    """
    wanted = [source for source in missing if all(url.startswith("http") for url in source.urls)]
    urls = [*dict.fromkeys(url for source in wanted for url in source.urls)]
    if not urls:
        return
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    deadline = time.monotonic() + seconds
    for url in urls:
        # A thread may hang in looking up a name, which has no time limit; nobody waits for it.
        threading.Thread(
            target=lambda url=url: answers.put(_problem(url, deadline)), daemon=True
        ).start()
    problems = list[str]()
    while len(problems) < len(urls):
        try:
            problem = answers.get(timeout=max(deadline - time.monotonic(), 0) + 0.1)
        except queue.Empty:
            problems.append(f"no answer within {seconds:.0f} s")
            break
        if not problem:
            return
        problems.append(problem)
    files = "; ".join(
        f"{source.name} from {' or '.join(map(public, source.urls))}" for source in wanted
    )
    count = f"{len(wanted)} file{'s' if len(wanted) > 1 else ''}"
    raise UserError(
        f"There is no network, and the profile {shown(profile)} needs {count} that cannot be "
        f"had without: {files}. ({'; '.join(dict.fromkeys(problems))}.) Download them where there "
        "is a network, put them into one folder under these names, and type "
        f"`fcn repro --set profile={shown(profile)} --from-local FOLDER`. A proxy is named by "
        "HTTP_PROXY and HTTPS_PROXY."
    )


def _problem(url: str, deadline: float) -> str:
    """Why a server does not answer; empty: it does."""
    while True:
        try:
            left = max(deadline - time.monotonic(), 0.1)
            with requests.head(url, timeout=left, allow_redirects=False) as answer:
                if answer.status_code not in _GATEWAY:
                    return ""
                said = f"status {answer.status_code}"
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            said = download.reason(error)
        if time.monotonic() + PAUSE > deadline:
            return said
        time.sleep(PAUSE)
