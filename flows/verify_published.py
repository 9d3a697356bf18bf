"""`fcn verify`: do the authors' own nets, converted, score here what they were published with?"""

from pathlib import Path

from fcn.errors import UserError
from fcn.io import archives, files
from fcn.published import nets as published_nets
from fcn.published import scores
from fcn.spec import MARK
from tasks.fetch import fetch
from tasks.tracking import steps
from tasks.verify import convert_net, score_net, unpack_listed


def verify_published(
    facts: Path = published_nets.FACTS,
    raw: Path = Path("data/raw/published"),
    models: Path = Path("data/published"),
    report: Path = Path("reports/verify_published.json"),
    only: str | None = None,
) -> None:
    """Download, convert and score the authors' nets, and compare with their published scores.

    Takes 4 GB of disk for all of it, minutes on a GPU and an hour or more per net without one.
    Fails if a net does.

    Args:
        facts: JSON file: where the nets and the images are, and the scores.
        raw: folder for what is downloaded; it is kept, and checked again by the next run.
        models: folder for the converted nets, one model folder each.
        report: JSON file to write.
        only: one of the nets, instead of all.
    """
    wanted = _read(facts)
    if only is not None and only not in wanted.nets:
        raise UserError(f"--only: expected one of {', '.join(wanted.nets)}; got {only!r}")
    nets = {name: net for name, net in wanted.nets.items() if only in (None, name)}
    files.check_file(report, "--report")
    files.check_folder(raw / "images", archives.MARK, "--raw")
    for name in nets:
        files.check_folder(models / name, MARK, "--models")
    pairs = unpack_listed(
        fetch(wanted.images, raw / "archives"), wanted.root, Path(wanted.ids), raw / "images"
    )
    verdicts = []
    for name, net in nets.items():
        convert_net(fetch(net.weights, raw / "weights"), name, wanted.class_names, models / name)
        verdicts.append(score_net(models / name, name, pairs, net.scores, wanted.tolerance))
    files.write_json(report, scores.report(verdicts, len(pairs), wanted.tolerance))
    text = [
        f"measured (published) on {len(pairs)} images, in percent:",
        *scores.table(verdicts).splitlines(),
    ]
    failed = [verdict.net for verdict in verdicts if not verdict.passed]
    if failed:
        raise UserError(
            f"{', '.join(failed)}: more than {wanted.tolerance} points off the published scores; "
            f"{text[0]}",
            *text[1:],
        )
    steps.logger().info("\n".join(text))


def _read(path: Path) -> published_nets.Published:
    facts = published_nets.read(path)
    for name, net in facts.nets.items():
        if len(net.scores) != len(scores.SCORES):
            raise UserError(
                f"{path}: nets.{name}.scores: expected {', '.join(scores.SCORES)}; got {net.scores}"
            )
    return facts
