"""Stage `convert_vgg`: the published weights as the project's own file, fully connected layers as
convolutions.
"""

from pathlib import Path

from fcn.spec import VARIANTS
from tasks.convert import convert_weights
from tasks.settings import config


def convert_vgg(raw: Path, out: Path, report: Path, settings: Path = config.PARAMS) -> None:
    """Convert the classifier's weights.

    Args:
        raw: folder of the profile, with weights/.
        out: .npz file to write.
        report: JSON file to write: what became of every weight.
        settings: what is set: params.yaml, or the settings.json that came out of it.
    """
    profile = config.read(settings)
    sources = [profile.download.weights, *profile.download.cross_check]
    # What the trainings that start from these weights take from them: to be told now and not after
    # the records are written.
    new_layers = [
        profile.train[name].new_layers for name in profile.variants if VARIANTS[name].parent is None
    ]
    convert_weights(
        [raw / "weights" / source.name for source in sources],
        profile.model.backbone,
        out,
        report,
        new_layers,
    )
