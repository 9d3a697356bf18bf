"""Reads the section "Example:" of a docstring as the examples that it holds, code and output."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Google's style calls one example "Example:", for which griffe knows no section."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of whatever was read."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
