"""`fcn verify`: do the authors' own nets, converted, score here what they were published with?"""

from pathlib import Path

from fcn.cli import Place


def verify(
    *,
    only: str | None = None,
    facts: Place | None = None,
    raw: Place = Path("data/raw/published"),
    models: Place = Path("data/published"),
    report: Place = Path("reports/verify_published.json"),
) -> int:
    """Download, convert and score the authors' nets, and compare with their published scores.

    Takes 4 GB of disk for all of it, minutes on a GPU and an hour or more per net without one.

    Example: `fcn verify --only fcn8s`

    Args:
        only: One of the nets, instead of all.
        facts: JSON file: where the nets and the images are, and the scores.
        raw: Folder for what is downloaded; it is kept, and checked again by the next run.
        models: Folder for the converted nets, one model folder each.
        report: JSON file to write.

    Returns:
        0; 1: a net does not score what was published, or something failed; 130: interrupted.
    """
    from fcn.published import nets as published_nets
    from flows import verify_published
    from flows.runner import stage

    given = {
        "facts": facts or published_nets.FACTS,
        "raw": raw,
        "models": models,
        "report": report,
        "only": only,
    }
    return stage.execute(verify_published.verify_published, given, name=None)
