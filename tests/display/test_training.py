"""The progress of a run where nothing may be animated."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.display import show_note, training
from charlm.training.events import Finished, Progress, Validation
from charlm.training.plan import make_plan


def progress_at(step):
    """Return the progress of a run of 1,000 steps of one second."""
    return Progress(
        step=step,
        steps=1000,
        epoch=1.0,
        seconds=float(step),
        nats_per_token=2.0,
        bits_per_character=2.885,
        learning_rate=0.01,
        gradient_norm=1.0,
        clipped_share=0.0,
        characters_per_second=2000.0,
    )


def test_off_a_terminal_there_is_a_line_every_ten_seconds(corpus_of, monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now))
    config = TrainingConfig(max_steps=1000, device="cpu")
    plan = make_plan(corpus_of("the cat sat. " * 99), ModelConfig(hidden_size=8), config)
    with training.TrainingDisplay(quiet=False) as display:
        display.planned(plan)
        capsys.readouterr()
        for step in range(1, 36):  # one a second
            now = float(step)
            display.progressed(progress_at(step))

    line = "step {} of 1,000: training 2.885 bits per character, 2 k characters/s, 16 min {} s left"
    assert capsys.readouterr().err.splitlines() == [
        line.format(step, left) for step, left in ((10, 30), (20, 20), (30, 10))
    ]


def finished_run(best, **changes):
    return Finished(
        **{
            "ending": "complete",
            "step": 1000,
            "seconds": 65.0,
            "best": best,
            "median_gradient_norm": 0.5,
            "clipped_share": 0.0,
            **changes,
        }
    )


BEST = Validation(
    step=900, epoch=1.0, seconds=60.0, nats=9.0, nats_per_character=1.5, bits_per_character=2.164,
    best=None, sample="the cat",
)  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of a model and a state, of 2,000 and 3,000 bytes."""
    monkeypatch.chdir(tmp_path)
    paths = Path("m"), Path("m.state")
    for path, size in zip(paths, (2000, 3000), strict=True):
        path.write_bytes(bytes(size))
    return paths


def test_the_end_names_the_score_the_files_and_the_next_command(files, corpus_of, capsys):
    model = ModelConfig(hidden_size=8, direction="both")
    plan = make_plan(
        corpus_of("the cat sat. " * 99), model, TrainingConfig(max_steps=1000, device="cpu")
    )
    with training.TrainingDisplay(quiet=False) as display:
        display.planned(plan)
        display.validated(BEST)
        capsys.readouterr()
        display.finished(finished_run(BEST, clipped_share=0.25), *files, "charlm generate")

    assert capsys.readouterr().err.splitlines() == [
        "done after 1,000 steps in 1 min 5 s; best validation 2.164 bits per character "
        "(1.5000 nats) at step 900, in the mean of both directions",
        "the gradient was clipped (--max-gradient-norm) in 25% of the steps; "
        "its norm was 0.5 in the median",
        "saved m (2 kB) and m.state (3 kB)",
        "try: charlm generate",
    ]


def test_a_run_that_is_stopped_early_has_no_model(files, capsys):
    with training.TrainingDisplay(quiet=False) as display:
        display.finished(finished_run(None, ending="stopped"), *files, "charlm train --resume")

    assert capsys.readouterr().err.splitlines() == [
        "stopped as asked after 1,000 steps in 1 min 5 s; "
        "nothing was validated yet, so no model was saved",
        "saved m.state (3 kB)",
        "to go on: charlm train --resume",
    ]


def test_notes_look_the_same_before_and_during_training(capsys):
    show_note("a\nb")
    with training.TrainingDisplay(quiet=False) as display:
        display.note("a\nb")
    with training.TrainingDisplay(quiet=True) as quiet:
        quiet.note("a")
        quiet.line("a")

    assert capsys.readouterr().err == "note: a↵b\n" * 2
