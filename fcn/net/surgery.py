"""Net surgery: weights of one net into another, with an account of every single one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fcn import reading
from fcn.errors import UserError
from fcn.io import files
from fcn.net import quantize
from fcn.net.model import build
from fcn.spec import VARIANTS, ModelSpec, check, check_dense, parameters


@dataclass(frozen=True)
class Transfer:
    """What became of one weight: `name` is "layer/kernel" or "layer/bias", `shape` its shape in the
    new net (or, if it was dropped, in the source), `action` one of copied, new, dropped, or "by
    class": the outputs of classes that both nets have are copied, the others are zero.
    """

    name: str
    shape: tuple[int, ...]
    action: str


def named_weights(model: keras.Model) -> dict[str, Any]:
    """The net's own variables (no dropout seeds, no optimizer) by "layer/kernel" and "layer/bias",
    first layer first.

    Args:
        model: a net of `fcn.net.model.build`.

    Returns:
        Keras' variables, which can be read and assigned.
    """
    return {
        f"{layer.name}/{weight.path.split('/')[-1]}": weight
        for layer in model.layers
        for weight in layer.weights
    }


def transplant(
    model: keras.Model,
    source: Mapping[str, np.ndarray],
    new: Iterable[str] = (),
    dropped: Iterable[str] = (),
    begun: Collection[str] = (),
) -> list[Transfer]:
    """Copies every weight of `source` into the layer of the same name.

    Args:
        model: changed in place.
        source: arrays by "layer/kernel" (H, W, in, out) and "layer/bias" (out,).
        new: layers of `model` that keep their fresh weights; those that `source` has too must stand
            in `dropped` as well.
        dropped: layers of `source` that are not wanted.
        begun: weights that `model` was built with, see `_built`.

    Returns:
        One `Transfer` per weight: those of the model in its order, then those left out.

    Raises:
        UserError: a weight is missing, left over or of another shape, or `new` or `dropped` names a
            layer that is not there; nothing has been copied then.
    """
    new, dropped, targets = set(new), set(dropped), named_weights(model)
    taken = {name: weight for name, weight in targets.items() if _layer(name) not in new}
    wanted = {name: weight for name, weight in taken.items() if name not in begun}
    offered = {name: array for name, array in source.items() if _layer(name) not in dropped}
    problems = [f"{name} is missing" for name in wanted if name not in offered]
    problems += [f"{name} has no place in {model.name}" for name in offered if name not in wanted]
    problems += [
        f"{name} has shape {offered[name].shape}, the net wants {tuple(weight.shape)}"
        for name, weight in wanted.items()
        if name in offered and offered[name].shape != tuple(weight.shape)
    ]
    problems += [
        f"there is no layer {name} to be new" for name in sorted(new - {_layer(n) for n in targets})
    ]
    problems += [
        f"there is no layer {name} to drop"
        for name in sorted(dropped - {_layer(n) for n in source})
    ]
    if problems:
        raise UserError(
            f"these weights do not fit {model.name}: {'; '.join(problems)}. "
            "Are backbone, width, fc_units, classes and the parent those of these weights?"
        )
    for name, weight in wanted.items():
        weight.assign(source[name])
    report = [
        Transfer(n, tuple(w.shape), "copied" if n in taken else "new") for n, w in targets.items()
    ]
    return report + [Transfer(n, a.shape, "dropped") for n, a in source.items() if n not in offered]


def start(
    spec: ModelSpec, parent: str | Path, new_layers: Sequence[str] = (), seed: int = 0
) -> tuple[keras.Model, list[Transfer]]:
    """The net of `spec` as its training begins.

    The backbone and the score layers come from the parent; score layers that the parent lacks are
    zero. Fixed upsampling is bilinear, whatever the parent has learned; learned inner upsampling is
    kept. So a new stage scores like its parent, but for the finer upsampling of the same scores.

    Instead of the parent, a model of the same variant can be gone on from, be its classes the same
    or others: score layers take over the outputs of the classes that have the same name in both.

    Args:
        spec: which net.
        parent: a model folder (of the parent variant, or of this one), or a weight file of the
            classifier for variants without parent.
        new_layers: fully connected layers of the classifier that begin at random, see `TrainSpec`.
        seed: of their random numbers.

    Returns:
        The model and the account of its weights.

    Raises:
        UserError: `parent` is another kind of model than this variant starts from, or does not fit.
    """
    check(spec)
    folder = Path(parent)
    if VARIANTS[spec.variant].parent is None and not folder.is_dir():
        return _from_classifier(spec, folder, new_layers, seed)
    if new_layers:
        raise UserError(
            f"new_layers: {spec.variant} starts from a model here ({folder}), whose "
            "layers it has: expected []"
        )
    return _from_model(spec, folder)


def _from_classifier(
    spec: ModelSpec, path: Path, new_layers: Sequence[str], seed: int
) -> tuple[keras.Model, list[Transfer]]:
    """See `start`: `path` is a file of weights."""
    source, head = read_weights(path), VARIANTS[spec.variant].head(spec.upsampling)
    check_dense(map(_layer, source), spec.backbone, new_layers, str(path))
    replaced = {name: source.pop(name) for name in [*source] if _layer(name) in new_layers}
    model, begun = _built(spec, source)
    for name in new_layers:
        begin(model.get_layer(name), seed)
    dropped = {*map(_layer, replaced)}
    return model, transplant(model, source | replaced, [*head, *new_layers], dropped, begun)


def _from_model(spec: ModelSpec, folder: Path) -> tuple[keras.Model, list[Transfer]]:
    """See `start`: `folder` is a model folder."""
    found = read_spec(folder)
    _refuse_another(spec, found, folder)
    old = VARIANTS[found.variant].head(found.upsampling)
    fresh = VARIANTS[spec.variant].head(spec.upsampling)
    new = [name for name in fresh if name not in old]
    dropped = [name for name in old if name not in fresh]
    source = _stored(folder, found)
    model, begun = _built(spec, source)
    if found.classes == spec.classes:
        return model, transplant(model, source, new, dropped, begun)
    both = [name for name in fresh if name in old]
    report = transplant(model, source, [*new, *both], [*dropped, *both], begun)
    taken = {
        f"{name}/{array}"
        for name in both
        if name.startswith("score")
        for array in ("kernel", "bias")
    }
    for name in taken:
        _by_class(named_weights(model)[name], source[name], spec.classes, found.classes)
    kept = [row for row in report if row.action != "dropped" or row.name not in taken]
    return model, [
        Transfer(row.name, row.shape, "by class") if row.name in taken else row for row in kept
    ]


def _refuse_another(spec: ModelSpec, found: ModelSpec, folder: Path) -> None:
    """Raises UserError where a net of `spec` does not start from the one that was found."""
    parent = VARIANTS[spec.variant].parent
    if found.variant not in (parent, spec.variant):
        wanted = f"{parent or 'a classifier'} or from {spec.variant}"
        raise UserError(
            f"{folder}: {spec.variant} starts from {wanted}, but this folder holds {found.variant}"
        )
    for key in ("backbone", "fc_units", "mean_bgr", "padding", "width"):
        was, wanted = getattr(found, key), getattr(spec, key)
        if was != wanted:
            raise UserError(
                f"{folder}: {spec.variant} wants {key} {wanted!r}, its parent has "
                f"{was!r}: train the parent again"
            )


def _by_class(
    weight: Any, source: np.ndarray, classes: Sequence[str], others: Sequence[str]
) -> None:
    """Gives the outputs of classes that have the same name their numbers, and the others 0; classes
    are the last axis.
    """
    values = np.zeros(weight.shape, np.float32)
    for value, name in enumerate(classes):
        if name in others:
            values[..., value] = source[..., others.index(name)]
    weight.assign(values)


def begin(layer: keras.layers.Layer, seed: int) -> None:
    """Gives a layer new weights: He's normal distribution (arXiv:1502.01852), biases 0.

    They follow from `seed` and the layer's name alone. Keras' own initializers draw from the random
    numbers of the process, from which Prefect's and MLflow's threads draw, too.
    """
    shape = tuple(layer.kernel.shape)
    random = np.random.default_rng([seed, *layer.name.encode()])
    kernel = random.standard_normal(shape, np.float32)
    kernel *= np.float32(np.sqrt(2 / np.prod(shape[:-1])))
    layer.kernel.assign(kernel)
    layer.bias.assign(np.zeros(layer.bias.shape, np.float32))


def save(model: keras.Model, spec: ModelSpec, folder: Path) -> None:
    """Writes `weights.npz` and `model.json` into the existing `folder`: all that is needed to build
    and use the net.
    """
    files.save_arrays(folder / "weights.npz", named_weights(model))
    files.write_json(folder / "model.json", asdict(spec))


def read_spec(folder: Path) -> ModelSpec:
    """The `ModelSpec` of a model folder.

    Raises:
        UserError: no model folder, or `model.json` does not describe a net of this version.
    """
    path = folder / "model.json"
    if not path.exists():
        raise UserError(
            f"{folder}: expected a model folder with model.json and weights.npz, found no {path}"
        )
    remedy = "it describes no model of this version: train the model again"
    spec = reading.read_json(path, ModelSpec, remedy)
    try:
        check(spec)
    except UserError as error:
        raise UserError(f"{path}: {error}; {remedy}") from None
    return spec


def load(folder: Path) -> tuple[keras.Model, ModelSpec]:
    """Builds the net of a model folder with its weights.

    Raises:
        UserError: no model folder, or weights and description do not belong together.
    """
    spec = read_spec(folder)
    stored = _stored(folder, spec)
    model, begun = _built(spec, stored)
    try:
        transplant(model, stored, begun=begun)
    except UserError as error:
        raise UserError(f"{folder / 'weights.npz'}: {error}") from None
    return model, spec


def _stored(folder: Path, spec: ModelSpec) -> dict[str, np.ndarray]:
    """The weights of a model folder, less the kernels of fixed upsampling, which an earlier version
    kept there.
    """
    variant, path = VARIANTS[spec.variant], folder / "weights.npz"
    fixed = {name for name, _ in variant.upsamplings()} - set(variant.head(spec.upsampling))
    arrays = read_weights(path)
    # Before a net is built that the file cannot fill: its size is what `model.json` says.
    if (held := sum(array.size for array in arrays.values())) < (wanted := parameters(spec)):
        raise UserError(
            f"{path}: holds {held} weights, but a net of the width {spec.width} and the fc_units "
            f"{spec.fc_units}, as model.json says, has at least {wanted}: train the model again"
        )
    return {name: array for name, array in arrays.items() if _layer(name) not in fixed}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The weights of a file by "layer/kernel" and "layer/bias".

    Raises:
        UserError: see `files.load_arrays`; or they are whole numbers.
    """
    arrays = quantize.unpack(files.load_arrays(path), str(path))
    wrong = next((name for name, array in arrays.items() if array.dtype.kind != "f"), None)
    if wrong is not None:
        raise UserError(
            f"{path}: {wrong}: expected weights, numbers with a point, got {arrays[wrong].dtype}. "
            "Remove the file and let the stage that makes it run again."
        )
    return arrays


def _built(spec: ModelSpec, source: dict[str, np.ndarray]) -> tuple[keras.Model, set[str]]:
    """The net, and the names of the weights that it was built with, which `source` has no more."""
    names = set(source)
    return build(spec, source), names - source.keys()


def _layer(name: str) -> str:
    return name.rsplit("/", 1)[0]
