"""The one error that is meant for the user's eyes, and how text from outside is shown to them."""

import re
from collections.abc import Collection

LINE = 4000
"""Characters of a line that is shown: more of it nobody reads, and a terminal is busy with it."""

# C0, DEL and C1; marks that turn the direction of writing; ends of lines that only some programs
# take for such; and halves of characters, by which Python stands for the bytes of a file's name
# that are no UTF-8.
CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


class UserError(ValueError):
    """Something outside the code is wrong: a file, a parameter, a label, a checksum.

    The message says what was wanted, what came, where (file, key, image id) and what to do about
    it; the flows print it as it is, without a stack trace. Each argument is one line of it. An end
    of a line inside of an argument can only come from outside, from the name of a file for example,
    and is shown as an escape, as in `shown`: nobody forges a line.
    """

    def __str__(self) -> str:
        """The message, a line per argument."""
        return "\n".join(shown(line, LINE) for line in self.args)


def shown(text: object, most: int = 200) -> str:
    r"""Text from outside (names of files and classes, members of archives, answers of servers) for
    a terminal or a log.

    Control characters, which could colour, retitle or overwrite the terminal or begin a line of
    their own, and marks that turn the direction of writing become escapes such as `\x1b`; of a long
    text the middle is left out.

    Args:
        text: anything; what `str` makes of it is shown.
        most: characters of the result.

    Returns:
        One line. The same for what has been shown already.

    Example:
        >>> shown("cat\n\x1b[31m.jpg")
        'cat\\x0a\\x1b[31m.jpg'
    """
    raw = str(text)
    plain = CONTROL.sub(_escape, raw if len(raw) <= 2 * most else raw[:most] + raw[-most:])
    if len(plain) <= most:
        return plain
    end = (most - 3) // 2
    return f"{plain[: most - 3 - end]}...{plain[-end:]}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def words(error: BaseException) -> str:
    """An error in words for the user: of the system's the file and the reason, without a number."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{shown(error.filename)}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    return str(error) if isinstance(error, UserError) else shown(error, LINE)


def enumeration(names: Collection[object], most: int = 10) -> str:
    """The first of the names, and how many more there are, for a message."""
    shown = ", ".join(str(name) for name in list(names)[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
