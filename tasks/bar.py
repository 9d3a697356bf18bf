"""A progress bar in Prefect's UI, beside the lines that `tasks.tracking.progress` writes to the log."""

from typing import Any

import httpx
from prefect.artifacts import create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import temporary_settings

SECONDS = 2.0
"""What an update waits for Prefect, at most."""


class Bar:
    """A progress artifact of the current run, made with the first update.

    It holds nobody up: an update is one request, not repeated, because the next one has all that it said. Where the API
    refuses connections, updates go on when it is back; after any other failure there are no more.
    """

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._id: Any = None
        self._lost = False

    def __call__(self, percent: float, text: str) -> None:
        """Show that so much is done (0 to 100), and `text` below it."""
        if self._lost:
            return
        if self._id is None:
            self._id = create_progress_artifact(percent, key="progress", description=text)
            self._lost = self._id is None  # running without Prefect, or it was not there: a warning said so
            return
        try:
            with (
                temporary_settings({"client.max_retries": 0}),
                get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client,
            ):
                # Not `update_progress_artifact`, which waits and tries again, and sends an event besides.
                values = {"data": percent, "description": text}
                client.request("PATCH", "/artifacts/{id}", json=values, path_params={"id": self._id})
        except httpx.ConnectError:
            pass
        except (httpx.TransportError, PrefectHTTPStatusError):
            self._lost = True
