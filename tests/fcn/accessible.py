"""axe, which finds what people with other senses stumble over on a page. A package of its own:
axe-core-python.
"""

import json
from importlib.util import find_spec
from pathlib import Path

AXE = find_spec("axe_core_python")
assert AXE
assert AXE.submodule_search_locations
FOLDER = Path(AXE.submodule_search_locations[0])
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def violations(tab):
    """(rule, selector) of all that axe has to say of the page as it is now."""
    source = (FOLDER / "axe.min.js").read_text(encoding="utf-8")
    tab.run(f"{source}; true")
    found = tab.run(
        f"axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then(r => "
        "JSON.stringify(r.violations))"
    )
    return [
        (each["id"], str(node["target"]), node["html"][:200])
        for each in json.loads(found)
        for node in each["nodes"]
    ]
