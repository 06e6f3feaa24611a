"""Errors and notes on stderr."""

from charlm.display import show_error, show_line, show_note
from charlm.errors import CharlmError


def test_an_error_has_its_rank_and_its_hint(capsys):
    error = CharlmError("no\x1b space", hint="make\nroom")
    show_error(error)
    error.rank, error.hint = 3, None
    show_error(error)

    assert capsys.readouterr().err == (
        "error: no\ufffd space\n\nhint: make↵room\nerror: [rank 3] no\ufffd space\n"
    )


def test_a_note_is_one_line_of_any_length(capsys):
    show_note("a\tb" + " long" * 99)  # rich before 14.3 drops a space at the end
    show_line("[bold]plain[/]")

    assert capsys.readouterr().err == "note: a→b" + " long" * 99 + "\n[bold]plain[/]\n"
