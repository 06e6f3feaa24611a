"""The metrics file: what is appended, and where a resumed run cuts it."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from charlm.cli.train.metrics import Metrics
from charlm.errors import CharlmError
from charlm.training.events import Finished, Progress, Validation

PROGRESS = Progress(
    step=10, steps=20, epoch=0.5, seconds=1.0, nats_per_token=2.0, bits_per_character=2.9,
    learning_rate=0.01, gradient_norm=1.5, clipped_share=0.0, characters_per_second=99.0,
)  # fmt: skip
VALIDATION = Validation(
    step=10, epoch=0.5, seconds=1.0, nats=9.0, nats_per_character=2.0, bits_per_character=2.9,
    best=None, sample="the cat",
)  # fmt: skip
FINISHED = Finished(
    ending="complete", step=20, seconds=2.0, best=None, median_gradient_norm=1.0, clipped_share=0.0
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.jsonl"


def append(path, *events):
    with Metrics(path, run="model") as metrics:
        for event in events:
            metrics.append(event)
        return metrics.position()


def test_progress_and_validations_are_one_line_each(path):
    append(path, PROGRESS, VALIDATION, FINISHED)
    train, validation = map(json.loads, path.read_text().splitlines())

    assert (train["run"], validation["run"]) == ("model", "model")
    assert (train["split"], train["nats_per_token"]) == ("train", 2.0)
    assert (validation["split"], validation["best"]) == ("validation", False)
    assert "sample" not in validation


def test_without_a_file_nothing_is_written():
    with Metrics(None, run="model") as metrics:
        metrics.append(PROGRESS)

        assert not metrics.is_open
        assert metrics.position() == {}
        assert not metrics.rewind({"file": [], "bytes": 0}, 0)


def test_a_position_is_found_again_in_its_file_alone(path, tmp_path):
    path.write_text('{"stands": "there already"}\n')
    position = append(path, PROGRESS)
    until_position = path.read_text()
    append(path, PROGRESS, VALIDATION)
    whole = path.read_text()
    for wrong in ({"bytes": None}, {"bytes": 10**9}, {"bytes": 5}, {"file": [0, 0]}):
        with Metrics(path, run="model") as metrics:
            assert not metrics.rewind({**position, **wrong}, 10), wrong
    assert path.read_text() == whole

    with Metrics(path, run="model") as metrics:
        assert metrics.rewind(position, 10)
        metrics.append(PROGRESS)
        assert metrics.position()["bytes"] == path.stat().st_size
    assert path.read_text() == until_position + until_position.splitlines(keepends=True)[1]


def test_lines_of_another_run_are_never_dropped(path):
    """The run was at step 400; another one, from step 10 on, has written to the same file."""
    later = dataclasses.replace(PROGRESS, step=400)
    position = append(path, later)
    append(path, PROGRESS, VALIDATION)
    whole = path.read_bytes()
    with Metrics(path, run="model") as metrics:
        assert not metrics.rewind(position, 400)

    assert path.read_bytes() == whole


def test_the_cut_line_of_a_killed_run_is_dropped(path):
    position = append(path, PROGRESS)
    before = path.read_bytes()
    path.write_bytes(before + b'{"split": "tr')
    with Metrics(path, run="model") as metrics:
        assert metrics.rewind(position, 10)

    assert path.read_bytes() == before


def test_a_device_has_no_position():
    assert append(Path("/dev/null"), PROGRESS) == {}


def test_a_full_disk_is_an_error():
    with (
        pytest.raises(CharlmError, match="/dev/full cannot be written: No space left on device"),
        Metrics(Path("/dev/full"), run="model") as metrics,
    ):
        metrics.append(PROGRESS)


def test_metrics_are_not_appended_to_a_model_or_a_text(verse_model_path, verse_path):
    for path, kind in ((verse_model_path, "a safetensors file"), (verse_path, "not a file of")):
        before = path.read_bytes()
        with (
            pytest.raises(CharlmError, match=f"is {kind}.* none are appended"),
            Metrics(path, run="model"),
        ):
            pass

        assert path.read_bytes() == before


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with (
        pytest.raises(CharlmError, match="cannot be written: No such"),
        Metrics(tmp_path / "a/b", run="model"),
    ):
        pass


def test_every_field_is_documented(path):
    append(path, PROGRESS, VALIDATION)
    page = (Path(__file__).parents[3] / "docs/reference/formats.md").read_text(encoding="utf-8")
    rows = page.partition("## Metrics")[2].partition("| field | value |")[2].partition("\n\n")[0]
    documented = set(
        re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in rows.splitlines()[2:]))
    )

    assert documented == {
        name for line in path.read_text().splitlines() for name in json.loads(line)
    }
