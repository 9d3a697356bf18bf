"""Types that several parameters have, with what is allowed for them; `tasks.settings.params` checks
it.
"""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

CHECKED: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
"""`__pydantic_config__` of parameters: no unknown key, no text for a number, no infinity."""

Steps = Annotated[int, Ge(1), Le(10**9)]
Seed = Annotated[int, Ge(0), Le(2**31 - 1)]
Precision = Literal["float32", "bfloat16"]
