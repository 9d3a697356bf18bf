"""`fcn`, put together: each command is the function of its name in a file of its name.

These files import at their top only what is quick, so that `--help` takes less than a second.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Group, UnknownCommandError

from fcn.cli import workspace
from fcn.errors import LINE, UserError, shown, words

MISUSE, INTERRUPTED = 2, 130
GROUPS = {
    Group("Use a net", sort_key=1): ("predict", "explain", "web", "serve", "export", "submit"),
    Group("Look at data", sort_key=2): ("doctor",),
    Group("Installation", sort_key=4): ("env",),
}
WORKSPACE = Group("This workspace", sort_key=3)
ABOUT = "Fully convolutional networks for semantic segmentation: use one, train one, compare them."
EXAMPLE = "Example: `fcn predict photo.jpg`. Completion for the shell: `fcn --install-completion`."


def build(root: Path | None) -> App:
    """The command with all that is to be had.

    Args:
        root: the workspace; without one its commands are left out.
    """
    closed = workspace.missing(root)
    only = () if workspace.missing(root, "compare") else workspace.ANYWHERE
    more = f" In a workspace there are also {', '.join(workspace.COMMANDS)}." if closed else ""
    app = App(
        name="fcn",
        help=ABOUT,
        help_epilogue=EXAMPLE + more,
        help_format="markdown",
        version_flags="--version",
        result_action="return_value",
    )
    for group, names in GROUPS.items():
        for name in names:
            app.command(f"fcn.cli.{name}:{name}", name=name, group=group, help_epilogue="")
    for name in only if closed else workspace.COMMANDS:
        workspace.enter()
        place = f"flows.commands.{name}:{name}"
        app.command(place, name=name, group=WORKSPACE, help_epilogue="")
    app.register_install_completion_command(add_to_startup=False)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: its words; those of the command line, if there are none.

    Returns:
        What the command returns; 0: done; 2: misuse, which standard error explains; 130: Ctrl-C.
    """
    # Before TensorFlow comes in, which says things that are not about this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if any(name.lower().endswith("_proxy") for name in os.environ):
        from fcn.io import sparing

        os.environ.update(sparing(os.environ))
    root = workspace.find()
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given[:1] == ["stage"]:
            given[2:2] = ["--"]  # what follows its name are words of its own
        if given[:1] and given[0] in workspace.COMMANDS:
            return _in_workspace(root, given)
        app = build(root)
        if not given or given[0] in app.help_flags:
            for name in app:
                app[name]  # is loaded, for what it says of itself
        result = app(given, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        known = [name for name in given[:1] if not isinstance(error, UnknownCommandError)]
        print(f"{_said(error)} See `{' '.join(['fcn', *known])} --help`.", file=sys.stderr)
        return MISUSE
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _in_workspace(root: Path | None, given: Sequence[str]) -> int:
    """Runs a command of the workspace in its folder, wherever it was typed."""
    if why := workspace.missing(root, given[0]):
        raise UserError(f"fcn {given[0]}: {why}")
    command, bound, _ = build(root).parse_args(given, exit_on_error=False, print_error=False)
    if root not in (None, Path.cwd()):
        bound.arguments.update(workspace.absolute(bound.arguments))
        os.chdir(str(root))
    result = command(*bound.args, **bound.kwargs)
    return result if isinstance(result, int) else 0


def _said(error: CycloptsError) -> str:
    """What is wrong with a command line, in one line."""
    return shown(" ".join(str(error).split()), LINE)
