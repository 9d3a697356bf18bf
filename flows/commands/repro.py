"""`fcn repro`: the whole DAG."""

from typing import Annotated

from cyclopts import Parameter

from fcn.cli import Place


def repro(
    targets: Annotated[list[str] | None, Parameter(name="STAGE", negative="")] = None,
    /,
    *,
    force: Annotated[bool, Parameter(negative="")] = False,
    set: Annotated[list[str] | None, Parameter(negative="")] = None,
    from_local: Place | None = None,
    pull: bool | None = None,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")] = False,
) -> int:
    """Bring everything up to date: data, nets, scores and the report.

    Only what is out of date runs. The pages of Prefect and MLflow show it (`fcn ui`).

    Example: `fcn repro --set profile=voc2012 train@fcn32s`

    Args:
        targets: Stages to bring up to date, with all that they need; none: all.
        force: Run every stage, changed or not.
        set: KEY=VALUE, checked and WRITTEN into params.yaml, where it stays: profile=voc2012, or
            any key of `fcn show params`; ~KEY takes it out again; repeatable. The outcome is
            recorded as an experiment of DVC, if there is a git commit to start from and no output
            is missing.
        from_local: A file that you have already, or a folder with such files, under the names at
            the end of their URLs: taken, once checked, instead of downloading.
        pull: Take from the DVC remote what others have made. By default if there is a default
            remote and outputs are missing.
        verbose: Print all messages, also those of TensorFlow and DVC, which else stand in a file
            of .cache/logs alone.

    Returns:
        0; 1: a stage failed, or dvc refused; 130: interrupted.

    Raises:
        UserError: a `set` that is none.
    """
    from flows import pipeline

    return pipeline.run(targets or [], force, set or [], pull, from_local, verbose)
