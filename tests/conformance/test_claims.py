"""The page of claims names tests that exist, and every conformance test stands behind one of its
claims.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/faithfulness.md"
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))


def test_every_test_that_the_page_names_is_there():
    assert len(NAMED) > 30
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_file_of_conformance_tests_is_named():
    files = {path.relative_to(ROOT).as_posix() for path in Path(__file__).parent.glob("test_*.py")}
    assert files - {file for file, _ in NAMED} == {"tests/conformance/test_claims.py"}
