"""The progress of a run where nothing may be animated."""

from types import SimpleNamespace

from charlm.config import ModelConfig, TrainingConfig
from charlm.display import training
from charlm.training.events import Progress
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
