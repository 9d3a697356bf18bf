"""What of the world outside reaches a terminal or a log, and as what."""

from pathlib import Path

import pytest

from fcn.errors import LINE, UserError, shown, words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Grüße, 猫.jpg", "Grüße, 猫.jpg"),
        ("\x1b[31mred\x1b]0;title\a", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\nFAKE: all well\r\tb", "a\\x0aFAKE: all well\\x0d\\x09b"),
        ("\x7f\x85\x9b31m", "\\x7f\\x85\\x9b31m"),
        ("\u202egpj.exe\u2066\u2069\u200f\u2028", "\\u202egpj.exe\\u2066\\u2069\\u200f\\u2028"),
        ("no\udcff utf-8\ud800", "no\\xff utf-8\\ud800"),
        ("x" * 200, "x" * 200),
        ("a" * 300 + "\n" + "z" * 300, "a" * 99 + "..." + "z" * 98),
        (3, "3"),
    ],
)
def test_foreign_text_stays_on_its_line_and_changes_no_terminal(text, wanted):
    assert shown(text) == wanted
    assert shown(wanted) == wanted
    assert wanted.isprintable()
    wanted.encode()


def test_a_long_text_is_not_looked_through():
    assert len(shown("\x1b" * 10**8)) == 200


def test_each_argument_of_an_error_is_one_line_whatever_is_in_it():
    error = UserError("in\n\x1b[2Jcomplete: FAKE", "- second", "x" * 10 * LINE)
    first, second, third = str(error).splitlines()
    assert (first, second, len(third)) == ("in\\x0a\\x1b[2Jcomplete: FAKE", "- second", LINE)
    assert words(error) == str(error)
    assert str(UserError(f"why: {UserError('one', 'two')}")) == "why: one\\x0atwo"


def test_an_error_of_the_system_is_told_in_words():
    with pytest.raises(NotADirectoryError) as error:
        Path("/dev/null/\n").stat()
    assert words(error.value) == "/dev/null/\\x0a: Not a directory"
    assert words(OSError("odd\n")) == "odd\\x0a"
