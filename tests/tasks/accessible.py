"""axe, which finds what people with other senses stumble over on a page. A package of its own: axe-core-python."""

import importlib.util
import json
from pathlib import Path

FOUND = importlib.util.find_spec("axe_core_python")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def violations(tab):
    """(rule, selector) of all that axe has to say of the page as it is now; nothing where axe is not installed."""
    if FOUND is None:
        return []
    source = (Path(FOUND.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    tab.run(f"{source}; true")
    found = tab.run(f"axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then(r => JSON.stringify(r.violations))")
    return [(each["id"], str(node["target"]), node["html"][:200]) for each in json.loads(found) for node in each["nodes"]]
