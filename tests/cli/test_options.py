"""Values of options as people write them."""

import pytest
import typer

from charlm.cli.options import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("60s", 60), ("1.5m", 90), ("2h", 7200), ("1h30m", 5400), ("1m5s", 65)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 parsecs", "s", "1m1h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(typer.BadParameter, match="is no duration"):
        parse_duration(text)
