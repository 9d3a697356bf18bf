"""A DVC stage as a process: a command line made from a function's signature, one Prefect flow run,
an exit code.
"""

import argparse
import inspect
import logging
import os
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from fcn.errors import UserError
from flows.runner import logs, output, processes


def main(function: Callable[..., Any], argv: Sequence[str] | None = None) -> int:
    """Runs `function`, a stage, with the arguments of the command line.

    Each of its parameters is an option `--name VALUE` of its annotated type (str, Path, int, float,
    bool, or one of them
    `| None`), required unless it has a default.

    Returns:
        0, 1 (failed: the reason is on stderr) or 130 (interrupted). A wrong command line exits with
        2.
    """
    parameters = vars(command_line(function).parse_args(argv))
    stage = os.environ.get("DVC_STAGE")
    dvc = processes.dvc_above() if stage else None
    owners = [
        name
        for name in (os.environ.get(processes.PARENT_PROCESS), dvc and processes.identity(dvc))
        if name
    ]
    if owners:
        processes.end_with(*owners)
    if stage:
        processes.refuse_alone()
    return execute(function, parameters, name=stage, dvc=dvc)


def command_line(function: Callable[..., Any]) -> argparse.ArgumentParser:
    """Makes the parser of its arguments; its help is the docstring: first paragraph, and `name:
    text` under Args.
    """
    doc = inspect.getdoc(function) or ""
    parser = argparse.ArgumentParser(
        prog=f"fcn stage {function.__name__}",
        description=doc.partition("\n\n")[0],
        allow_abbrev=False,
    )
    hints = typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        text = re.search(rf"^\s*{name}(?: \(.*\))?:\s*(.+)$", doc, re.MULTILINE)
        options: dict[str, Any] = {
            "dest": name,
            "help": text[1].replace("%", "%%") if text else None,
        }
        if parameter.default is inspect.Parameter.empty:
            options["required"] = True
        else:
            options["default"] = parameter.default
        kind = _plain(hints.get(name, str))
        if kind not in (str, Path, int, float, bool):
            what = f"{function.__name__}: parameter {name!r} has type {kind}"
            raise TypeError(f"{what}; a command line has str, Path, int, float, bool")
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = _to_path if kind is Path else kind
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    return parser


def _to_path(text: str) -> Path:
    """A path; an empty one, as an unset variable of a shell gives it, is misuse."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return Path(text)


def _plain(hint: Any) -> Any:
    """`X` for `X | None`, else the hint itself."""
    rest = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    return (
        rest[0]
        if typing.get_origin(hint) in (types.UnionType, typing.Union) and len(rest) == 1
        else hint
    )


def execute(
    function: Callable[..., Any],
    parameters: dict[str, Any],
    name: str | None,
    dvc: psutil.Process | None = None,
) -> int:
    """Runs `function` once as a Prefect flow run called `name`, or as it is where there is no API
    to be had.

    Args:
        function: what to run.
        parameters: its arguments by name.
        name: name of the run in the UI (None: Prefect invents one).
        dvc: the bare `dvc` process above, whose stages belong together.

    Returns:
        The exit code of `main`.
    """
    processes.interrupt_on_signals()
    try:
        errors = None
        if os.environ.get(processes.PARENT_RUN) != "":
            from flows.runner import recorded

            logs.begin()
            errors = recorded.run(function, parameters, name, dvc)
        if errors is None:
            logs.begin()
            errors = _run_alone(function, parameters)
    except KeyboardInterrupt as stopped:
        output.interrupted(stopped)
        return processes.INTERRUPTED
    for error in errors:
        output.tell(
            "error", error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        )
    return 1 if errors else 0


def _run_alone(function: Callable[..., Any], parameters: dict[str, Any]) -> list[Exception]:
    """Runs the function as it is: no states, no retries, no artifacts. Loggers still log."""
    try:
        function(**parameters)
    except Exception as error:
        if not isinstance(error, UserError):
            # nobody else does it here
            logging.getLogger("fcn").error("%s", type(error).__name__, exc_info=error)
        return [error]
    return []
