import pytest
from tracked import at_once


@pytest.fixture(autouse=True)
def teller(monkeypatch):
    """MLflow is told in this process when a stage begins and ends."""
    return at_once(monkeypatch)
