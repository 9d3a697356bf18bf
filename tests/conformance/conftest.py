from pathlib import Path

import pytest

REALDATA = Path(__file__).parents[3] / "shared" / "realdata"


@pytest.fixture(scope="session")
def realdata():
    """The folder of real data, which is no part of the project; without it the test is skipped."""
    if not REALDATA.is_dir():
        pytest.skip("there is no ../shared/realdata")
    return REALDATA
