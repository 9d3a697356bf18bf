"""What is set: params.yaml, which chooses and changes, laid over profiles.yaml, which has the
profiles and recipes.

DVC sees what comes out: the stage `settings` writes it as settings.json, and all other stages
depend on their part of that, and read it from there. So a change runs what it must and no more,
wherever it was made, and a training that begins hours after the others does not take a number that
was written meanwhile.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.spec import Place, TrainSpec, came, checked, dotted, nearest
from tasks.settings import yamlfile
from tasks.settings.params import NAME, NAME_WORDS, Profile, Settings

PARAMS = Path("params.yaml")
PROFILES = "profiles.yaml"
"""Lies beside params.yaml."""
SETTINGS = Path("settings.json")
"""What comes out of both, as the stage `settings` writes it."""
KEYS = ("profile", "variants", "profiles", "recipes")


PAPER = {"fcn32s": "models/vgg.npz", "fcn16s": "models/fcn32s", "fcn8s": "models/fcn16s"}
"""The paper's chain of variants, and what each starts from."""


@dataclass(frozen=True)
class Value:
    """A value, and where it was written: `params.yaml: profiles.sample.records.seed`."""

    value: Any
    where: str


Tree = dict[str, Any]
"""Mappings of mappings and, at their ends, `Value`s."""


@dataclass(frozen=True)
class Resolved:
    """A profile as it comes out.

    Attributes:
        data: `profile`, `variants` and the profile's blocks, plain, without defaults.
        origins: by the place of each value in it, the key under which it was written.
    """

    data: dict[str, Any]
    origins: dict[Place, str]


def read(path: Path = PARAMS) -> Settings:
    """All that is set, checked.

    Args:
        path: params.yaml, with profiles.yaml beside it; or settings.json, what came out of them.

    Raises:
        UserError: there is no such file, or it is no YAML; a key is unknown, missing, of the wrong
            type or out of range, a variant has no recipe or starts from the wrong weights, or a
            profile or recipe does not exist. Each fault has a line.
    """
    if path.suffix == ".json":
        data = yamlfile.plain(path)  # JSON is YAML
        settings: Settings
        settings, faults = checked(Settings, data)
        if faults:
            raise UserError(
                f"{path}: not what the stage `settings` writes; `dvc repro -f "
                "settings` writes it again"
            )
        return settings
    return resolved(path)[1]


def resolved(path: Path = PARAMS) -> tuple[Resolved, Settings]:
    """What comes out of a params.yaml and the profiles.yaml beside it.

    Raises:
        UserError: see `read`.
    """
    own, shared = yamlfile.plain(path), yamlfile.plain(path.with_name(PROFILES))
    return resolve(own, shared, path.name)


def resolve(own: Any, shared: Any, name: str = PARAMS.name) -> tuple[Resolved, Settings]:
    """What comes out of a params.yaml and a profiles.yaml.

    Args:
        own: what params.yaml holds.
        shared: what profiles.yaml holds.
        name: of the first, for messages.

    Raises:
        UserError: see `read`.
    """
    layers = Layers(own, shared, name)
    chosen = layers.choice()
    blocks = layers.profile(chosen)
    known = [field.name for field in fields(Profile) if field.name in blocks]
    ordered = {key: blocks[key] for key in (*known, *blocks)}
    resolved = split({**_located({key: own[key] for key in KEYS[:2]}, name), **ordered})
    settings, faults = checked(Settings, resolved.data)
    lines = [_line(resolved, f"profiles.{chosen}", place, words, name) for place, words in faults]
    lines += layers.faults_elsewhere(chosen)
    if lines:
        # A recipe that is wrong is so in each block that begins with it: said once.
        lines = [*{re.sub(r" \(for \S+\)", "", line): line for line in reversed(lines)}.values()][
            ::-1
        ]
        raise UserError(*([f"{len(lines)} errors in the settings:"] if lines[1:] else []), *lines)
    return resolved, settings


def fitting(own: Any, shared: Any) -> dict[str, str]:
    """The variants for the profile that params.yaml names: its chain; or those that stand there, if
    it has none of its own and a recipe for each of them; or those of the paper.

    Args:
        own: what params.yaml holds.
        shared: what profiles.yaml holds.

    Raises:
        UserError: there is no such profile.
    """
    layers = Layers(own, shared, PARAMS.name)
    blocks = split(layers.profile(layers.choice())).data
    written = own["variants"]
    if blocks.get("chain"):
        return dict(blocks["chain"])
    fits = isinstance(written, Mapping) and written and set(written) <= set(blocks.get("train", {}))
    if fits and all(str(start).startswith("models/") for start in written.values()):
        return dict(written)
    return dict(PAPER)


class Layers:
    """Profiles and recipes of two files, the user's over the shared ones."""

    def __init__(self, own: Any, shared: Any, name: str) -> None:
        """What params.yaml and profiles.yaml hold, and the name of the first, for messages."""
        self.files = (PROFILES, name)
        for file, data, keys in ((PROFILES, shared, KEYS[2:]), (name, own, KEYS)):
            if not isinstance(data, Mapping):
                raise UserError(
                    f"{file}: expected keys with values; the keys are {', '.join(keys)}"
                )
            for key in data:
                if key not in keys:
                    raise UserError(
                        f"{file}: unknown key `{key}`, {nearest(str(key), keys)} The "
                        f"keys are {', '.join(keys)}"
                    )
            for kind in KEYS[2:]:
                for key, block in _mapping(data.get(kind), f"{file}: {kind}").items():
                    _mapping(block, f"{file}: {kind}.{key}")
        for key in KEYS[:2]:
            if key not in own:
                raise UserError(f"{name}: {key}: missing")
        self.own, self.shared, self.name = own, shared, name

    def known(self, kind: str) -> list[str]:
        """Names of all `profiles` or `recipes`."""
        return [
            *dict.fromkeys(
                str(key) for data in (self.shared, self.own) for key in data.get(kind) or {}
            )
        ]

    def choice(self) -> str:
        """The profile's name."""
        name, known = self.own["profile"], self.known("profiles")
        if not isinstance(name, str) or name not in known:
            raise UserError(
                f"{self.name}: profile: expected one of {', '.join(known)}; got {came(name)}, "
                f"{nearest(str(name), known)}"
            )
        if not NAME.fullmatch(name):
            raise UserError(f"{self.name}: profile: expected {NAME_WORDS}; got {came(name)}")
        return name

    def profile(self, name: str) -> Tree:
        """All blocks of a profile."""
        return self._inherited("profiles", "from", name, ())

    def recipe(self, name: str) -> Tree:
        """All keys of a recipe."""
        return self._inherited("recipes", "recipe", name, ())

    def _inherited(self, kind: str, link: str, name: str, below: tuple[str, ...]) -> Tree:
        if name in below:
            raise UserError(f"{kind}.{name}: begins with itself: {' <- '.join((*below, name))}")
        layers = [
            _located(data[kind][name], f"{file}: {kind}.{name}")
            for file, data in zip(self.files, (self.shared, self.own), strict=True)
            if (data.get(kind) or {}).get(name) is not None
        ]
        first = next((layer[link] for layer in reversed(layers) if link in layer), None)
        found = (
            {}
            if first is None
            else self._inherited(kind, link, self._named(kind, first), (*below, name))
        )
        for layer in layers:
            found = self._over(found, {key: item for key, item in layer.items() if key != link})
        return found

    def _named(self, kind: str, written: Any) -> str:
        """The name of another profile or recipe that stands at a key."""
        known = self.known(kind)
        if not isinstance(written, Value):
            raise UserError(
                f"{kind}: expected the name of another one below `from` or `recipe`, got keys"
            )
        if written.value not in known:
            raise UserError(
                f"{written.where}: expected one of {', '.join(known)}; got {came(written.value)}, "
                f"{nearest(str(written.value), known)}"
            )
        return str(written.value)

    def _over(self, base: Tree, over: Tree) -> Tree:
        """`over` laid over `base`; a block of `train` that names a recipe begins with that."""
        train = over.get("train")
        if isinstance(train, dict):
            begun = {} if isinstance(base.get("train"), Value) else dict(base.get("train", {}))
            blocks = {}
            for variant, block in train.items():
                if isinstance(block, dict) and "recipe" in block:
                    begun[variant] = self.recipe(self._named("recipes", block["recipe"]))
                    block = {key: item for key, item in block.items() if key != "recipe"}
                blocks[variant] = block
            base, over = {**base, "train": begun}, {**over, "train": blocks}
        return laid(base, over)

    def faults_elsewhere(self, chosen: str) -> Iterator[str]:
        """What is wrong with the user's changes of what is not chosen, where
        nobody would see it.
        """
        for kind, link, of in (("profiles", "from", Profile), ("recipes", "recipe", TrainSpec)):
            known = list(self.shared.get(kind) or {})
            for name, block in (self.own.get(kind) or {}).items():
                if name not in known and link not in (block or {}):
                    yield (
                        f"{self.name}: {kind}.{name}: expected one of {', '.join(known)}, "
                        f"{nearest(str(name), known)} A new one names what it begins with: "
                        f"`{link}: {(known or ['...'])[0]}`"
                    )
                elif (kind, name) != ("profiles", chosen) and block:
                    resolved = split(
                        self.profile(name) if kind == "profiles" else self.recipe(name)
                    )
                    for place, words in checked(of, resolved.data)[1]:
                        yield _line(resolved, f"{kind}.{name}", place, words, self.name)


def laid(base: Tree, over: Tree) -> Tree:
    """`over` laid over `base` key by key; no value takes a key away (RFC
    7396, JSON merge patch).
    """
    found = dict(base)
    for key, new in over.items():
        if isinstance(new, dict):
            old = found.get(key)
            found[key] = laid(old if isinstance(old, dict) else {}, new)
        elif new.value is None:
            found.pop(key, None)
        else:
            found[key] = new
    return found


def _located(data: Any, where: str) -> Any:
    if isinstance(data, Mapping):
        joined = f"{where}." if ": " in where else f"{where}: "
        return {str(key): _located(item, f"{joined}{key}") for key, item in data.items()}
    return Value(data, where)


def split(tree: Tree) -> Resolved:
    """Values and the places at which they were written, apart."""
    origins: dict[Place, str] = {}

    def values(node: Any, place: Place) -> Any:
        if isinstance(node, Value):
            origins[place] = node.where
            return node.value
        return {key: values(item, (*place, key)) for key, item in node.items()}

    return Resolved(values(tree, ()), origins)


def _line(resolved: Resolved, block: str, place: Place, words: str, name: str) -> str:
    """One fault, under the key at which it was written, or else the one at which it is missed."""
    shown = (
        f"{block}{dotted(place)}"
        if place[:1] not in (("profile",), ("variants",))
        else dotted(place)[1:]
    )
    for length in range(len(place), 0, -1):
        if where := resolved.origins.get(place[:length]):
            where += dotted(place[length:])
            return (
                f"{where}: {words}"
                if where.endswith(f": {shown}")
                else (f"{where} (for {shown}): {words}")
            )
    return f"{shown}: {words}" if shown.startswith(block) else f"{name}: {shown}: {words}"


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{where}: expected keys with values, got {came(value)}")
    return value or {}
