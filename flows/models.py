"""The model folders of this checkout, by the names that command lines take."""

from pathlib import Path

from fcn.errors import UserError

MODELS = Path("models")


def found(models: Path = MODELS) -> dict[str, Path]:
    """The model folders in `models`, by name, in alphabetical order."""
    return {path.parent.name: path.parent for path in sorted(models.glob("*/model.json"))}


def find(model: str, models: Path = MODELS) -> Path:
    """The model folder of a name in `models`, or of a path.

    Raises:
        UserError: there is none.
    """
    known = found(models)
    if model in known:
        return known[model]
    if (Path(model) / "model.json").is_file():
        return Path(model)
    names = f"one of {', '.join(known)} (in {models}/)" if known else f"nothing is in {models}/ yet: make repro"
    raise UserError(f"--model: expected a model folder, or {names}; got {model}")
