"""`charlm train --resume` as a user runs it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from charlm.checkpoint import Checkpoint
from charlm.training.state import TrainingState

SIZE = ("--hidden-size", 16, "--embedding-size", 8, "--batch-size", 64, "--bptt-length", 32)
RUN = (*SIZE, "--max-steps", 60, "--dropout", 0.2)

# Runs the command and stops it, as Ctrl-C does, when it has taken so many steps.
STOPPED_AFTER = """
import os, signal, sys
from charlm.training.trainer import Trainer
steps, step = int(sys.argv.pop(1)), Trainer.step
def counted(self, number, rate):
    if number + 1 == steps:
        os.kill(os.getpid(), signal.SIGINT)
    return step(self, number, rate)
Trainer.step = counted
from charlm.cli import main
sys.argv[0] = "charlm"
main()
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


@pytest.fixture
def stopped(tmp_path):
    """Run a training that is stopped after so many steps."""

    def run(steps, *arguments, stdin=b""):
        return subprocess.run(
            [sys.executable, "-c", STOPPED_AFTER, str(steps), "train", *map(str, arguments)],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            timeout=120,
        )

    return run


@pytest.fixture
def begun(stopped, verse_path):
    """A run of 60 steps that was stopped after 25."""
    return stopped(25, verse_path, *RUN)


def weights(charlm, name="model.safetensors"):
    return json.loads(charlm("info", name, "--json").stdout)["weights_sha256"]


def test_the_command_that_is_told_goes_on(charlm, stopped, verse_path, tmp_path):
    """And comes to what a run comes to that was never stopped."""
    charlm("train", verse_path, *RUN, "-o", "whole")
    first = stopped(25, verse_path, *RUN, "-o", "a model", "--metrics", "m.jsonl")
    talk = first.stderr.decode()
    told = shlex.split(talk.rpartition("to go on: ")[2])

    assert first.returncode == 130
    assert "\nstopping: the run is saved in a model.state\n" in talk
    assert "\nstopped as asked after 25 steps in " in talk
    assert told[:3] == ["charlm", "train", "--resume"]
    second = charlm(*told[1:])
    assert second.returncode == 0
    assert "\ngoing on after 25 steps\n" in second.stderr.decode()
    assert weights(charlm, "a model") == weights(charlm, "whole")
    assert sorted(os.listdir(tmp_path)) == [
        "a model", "a model.state", "m.jsonl", "whole", "whole.state",
    ]  # fmt: skip


def test_the_corpus_is_all_that_has_to_be_said_again(charlm, begun, verse_path):
    first = weights(charlm)
    result = charlm("train", verse_path, "--resume")

    assert result.returncode == 0
    assert "done after 60 steps" in result.stderr.decode()
    assert weights(charlm) != first


def test_stdin_is_read_again(charlm, stopped, verse_path):
    stopped(25, "-", *RUN, stdin=verse_path.read_bytes())
    again = charlm("train", "-", "--resume", stdin=verse_path.read_bytes())
    charlm("train", verse_path, *RUN, "-o", "whole")

    assert again.returncode == 0
    assert weights(charlm) == weights(charlm, "whole")


def test_a_run_from_a_model_goes_on_without_it(
    charlm, stopped, verse_model_path, verse_path, tmp_path
):
    shutil.copy(verse_model_path, tmp_path / "start")
    arguments = (verse_path, "--from", "start", "--max-steps", 20)
    charlm("train", *arguments, "-o", "whole")
    stopped(7, *arguments)
    (tmp_path / "start").unlink()
    other = charlm("train", verse_path, "--from", "other", "--resume")
    result = charlm("train", *arguments, "--resume")

    assert other.returncode == 2
    assert b"error: --from other is not what the run in model.state.saf" in other.stderr
    assert result.returncode == 0, result.stderr
    assert weights(charlm) == weights(charlm, "whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hidden-size", 8), "--hidden-size 8 is not what the run in"),
        (("--cell", "gru"), "--cell gru is not what the run in"),
        (("--tokenizer", "byte"), "--tokenizer byte is not what the run in"),
        (("--lines",), "--lines is not what the run in"),
        (("--rng-seed", 1), "--rng-seed 1 is not what the run in"),
        (("--batch-size", 8), "--batch-size 8 is not what the run in"),
        (("--max-steps", 25), "max-steps must be above 25, the steps that were taken"),
        (("--overwrite",), "--resume and --overwrite exclude one another"),
    ],
)
def test_what_cannot_be_changed_is_refused(charlm, begun, verse_path, tmp_path, options, message):
    before = (tmp_path / "model.state.safetensors").read_bytes()
    result = charlm("train", verse_path, "--resume", *options)

    assert result.returncode == 2
    assert message in result.stderr.decode()
    assert (tmp_path / "model.state.safetensors").read_bytes() == before


def test_another_text_is_refused(charlm, begun, verse_path, tmp_path):
    (tmp_path / "other.txt").write_text(verse_path.read_text() + "one line more\n")
    (tmp_path / "held-out.txt").write_text("the cat sat")
    whole = verse_path.read_text()
    other = charlm("train", "other.txt", "--resume")
    more = charlm("train", verse_path, "other.txt", "--resume")
    held_out = charlm("train", verse_path, "--validation", "held-out.txt", "--resume")

    assert other.returncode == more.returncode == held_out.returncode == 1
    assert re.search(
        r"error: other.txt is not the text that the run has read: its SHA-256 is "
        r"[0-9a-f]{12}…, not [0-9a-f]{12}…\n\nhint: name the text as it was, or begin",
        other.stderr.decode(),
    )
    assert "error: the run has read 1 document, not 2\n" in more.stderr.decode()
    assert "error: the held-out text is not the one that" in held_out.stderr.decode()
    assert whole == verse_path.read_text()


def test_a_longer_budget_is_told_and_taken(charlm, stopped, begun, verse_path):
    longer = charlm("train", verse_path, "--resume", "--max-steps", 80)
    over = charlm("train", verse_path, "--resume")
    timed = stopped(90, verse_path, "--resume", "--max-time", "1h")

    assert (
        "\ngoing on after 25 steps; --max-steps 80 instead of --max-steps 60, to which the "
        "learning rate is fitted anew\n"
    ) in longer.stderr.decode()
    assert "\ndone after 80 steps in " in longer.stderr.decode()
    assert over.returncode == 0
    assert over.stderr.decode().endswith(
        "the run is over after 80 steps; to go on, give it a larger budget: --max-steps 160\n"
    )
    assert "--max-time 3600s instead of --max-steps 80" in timed.stderr.decode()
    assert "\nstopped as asked after 90 steps in " in timed.stderr.decode()


def test_another_learning_rate_is_told_and_taken(charlm, begun, verse_path):
    result = charlm("train", verse_path, "--resume", "--learning-rate", 0.001)

    assert "; --learning-rate 0.001 instead of 0.015\n" in result.stderr.decode()
    provenance = json.loads(charlm("info", "--json").stdout)["provenance"]
    assert provenance["training"]["learning_rate"] == 0.001


def test_another_number_of_threads_is_noted(charlm, begun, verse_path):
    if (os.cpu_count() or 1) < 2:
        pytest.skip("there is one core")
    result = charlm("train", verse_path, "--resume", "--threads", 2)

    assert (
        "\nthreads 2 instead of 1: the results may not be the same bit for bit\n"
        in result.stderr.decode()
    )


def test_without_a_run_there_is_one(charlm, verse_path):
    """So one command can be repeated until it is done."""
    results = [charlm("train", verse_path, *RUN, "--resume") for _ in range(2)]

    assert [result.returncode for result in results] == [0, 0]
    assert "done after 60 steps" in results[0].stderr.decode()
    assert "the run is over after 60 steps" in results[1].stderr.decode()


def test_a_model_without_its_run_is_not_replaced_by_a_new_one(charlm, begun, verse_path, tmp_path):
    (tmp_path / "model.state.safetensors").unlink()
    result = charlm("train", verse_path, "--resume")

    assert result.returncode == 1
    assert (
        b"error: there is a model at model.safetensors, but not the state of its run, "
        b"model.state.safetensors\n\nhint: go on from the model with --from model.safetensors"
    ) in result.stderr


def test_a_run_without_its_model_is_not_replaced_but_makes_it(charlm, begun, verse_path, tmp_path):
    charlm("train", verse_path, *RUN, "-o", "whole")
    (tmp_path / "model.safetensors").unlink()
    anew = charlm("train", verse_path, *RUN)
    again = charlm("train", verse_path, *RUN, "--resume")

    assert anew.returncode == 1
    assert (
        b"error: there is a run at model.state.safetensors already\n\n"
        b"hint: go on with it with --resume, replace it with --overwrite" in anew.stderr
    )
    assert again.returncode == 0
    assert weights(charlm) == weights(charlm, "whole")


def test_a_damaged_state_is_refused(charlm, begun, verse_path, tmp_path):
    path = tmp_path / "model.state.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = charlm("train", verse_path, "--resume")

    assert result.returncode == 1
    assert b"error: model.state.safetensors is damaged: " in result.stderr
    assert path.read_bytes() == data


def test_a_state_is_no_model_and_a_model_is_no_state(charlm, begun, verse_path, tmp_path):
    spoken = charlm("generate", "-m", "model.state.safetensors")
    (tmp_path / "model.state.safetensors").write_bytes(
        (tmp_path / "model.safetensors").read_bytes()
    )
    resumed = charlm("train", verse_path, "--resume")

    assert spoken.returncode == resumed.returncode == 1
    assert b"is a safetensors file, but not a charlm model" in spoken.stderr
    assert b"is a safetensors file, but not a charlm state" in resumed.stderr


def test_a_new_run_replaces_the_state_of_the_one_before(charlm, begun, verse_path, tmp_path):
    charlm("train", verse_path, *SIZE, "--max-steps", 5, "--overwrite")
    state = TrainingState.load(tmp_path / "model.state.safetensors")

    assert (state.progress.step, state.progress.is_over) == (5, True)


def test_a_second_training_is_refused_with_the_first_ones_number(
    charlm, charlm_path, verse_path, tmp_path
):
    with subprocess.Popen(
        [charlm_path, "train", str(verse_path), *map(str, SIZE), "--max-time", "1h"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    ) as first:
        first.stderr.readline()  # what was read
        second = charlm("train", verse_path, "--overwrite")
        first.kill()
    third = charlm("train", verse_path, *SIZE, "--max-steps", 5, "--overwrite")

    assert second.returncode == 1
    assert (
        f"error: another training, process {first.pid}, is writing model.safetensors\n"
        in second.stderr.decode()
    )
    assert third.returncode == 0


def test_metrics_go_on_where_the_run_does(charlm, stopped, verse_path, tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / f"{name}.jsonl").write_text('{"what": "stands there already"}\n')
    charlm("train", verse_path, *RUN, "-o", "whole", "--metrics", "whole.jsonl")
    stopped(25, verse_path, *RUN, "--metrics", "parts.jsonl")
    with (tmp_path / "parts.jsonl").open("a") as file:
        file.write('{"step": 26, "split": "trai')  # as a process that dies leaves it
    charlm("train", verse_path, "--metrics", "parts.jsonl", "--resume")
    whole, parts = (
        [
            {name: value for name, value in json.loads(line).items() if "second" not in name}
            for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "parts")
    )

    assert len(whole) > 7
    assert parts == whole


@pytest.mark.parametrize("steps", [1, 25])
def test_a_metrics_file_of_something_else_is_left_whole(
    charlm, stopped, verse_path, tmp_path, steps
):
    """Also where the run had written nothing yet, after which everything would stand."""
    stopped(steps, verse_path, *RUN, "--metrics", "m.jsonl")
    (tmp_path / "other.jsonl").write_text("precious\n" * 500)
    result = charlm("train", verse_path, "--resume", "--metrics", "other.jsonl")

    assert b"note: this is not the metrics file of the run; its metrics are app" in result.stderr
    assert (tmp_path / "other.jsonl").read_text().startswith("precious\n" * 500 + "{")


def test_the_state_of_a_model_behind_a_link_lies_beside_the_model(
    charlm, stopped, verse_path, tmp_path
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/model")
    stopped(7, verse_path, *RUN, "-o", "link")
    result = charlm("train", verse_path, "-o", "folder/model", "--resume")

    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]
    assert sorted(os.listdir(tmp_path / "folder")) == ["model", "model.state"]
    assert result.returncode == 0


def test_a_stop_before_a_run_goes_on_tells_that_it_is_still_saved(
    begun, charlm_path, verse_path, tmp_path
):
    with subprocess.Popen(
        [charlm_path, "train", "-", "--resume"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while not (tmp_path / ".model.safetensors.lock").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        talk = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert talk == (
        b"stopped before training went on; the run is still saved in model.state.safetensors\n"
    )


@pytest.mark.parametrize("option", ["--output", "--metrics"])
def test_no_text_is_written_over(charlm, tmp_path, option):
    (tmp_path / "texts").mkdir()
    for name in ("a.txt", "texts/b.txt", "held-out.txt"):
        (tmp_path / name).write_text("good text " * 100)
    arguments = ("a.txt", "texts", "--validation", "held-out.txt", "--overwrite", "--max-steps", 1)
    for name in ("a.txt", "texts/b.txt", "held-out.txt"):
        result = charlm("train", *arguments, option, name)

        assert result.returncode == 1
        assert f"error: {name} is the text to learn from\n" in result.stderr.decode()
        assert (tmp_path / name).read_text() == "good text " * 100


def test_a_better_model_of_a_run_that_was_killed_is_not_replaced_by_worse_ones(
    charlm, stopped, verse_path, tmp_path
):
    """The state is of step 0; the model is one that was found later."""
    stopped(1, verse_path, *RUN)
    state = (tmp_path / "model.state.safetensors").read_bytes()
    charlm("train", verse_path, "--resume")
    (tmp_path / "model.state.safetensors").write_bytes(state)
    best = (tmp_path / "model.safetensors").read_bytes()
    talk = stopped(40, verse_path, "--resume").stderr.decode()

    assert "\nmodel.safetensors keeps the better model that it had before\n" in talk
    assert (tmp_path / "model.safetensors").read_bytes() == best
    assert charlm("train", verse_path, "--resume").returncode == 0
    assert Checkpoint.load(tmp_path / "model.safetensors").provenance["steps"] == 60


def test_a_better_model_of_another_network_is_none_of_this_run(
    charlm, stopped, verse_path, tmp_path
):
    charlm("train", verse_path, *RUN, "--embedding-size", 12, "-o", "other")
    stopped(1, verse_path, *RUN)
    shutil.copy(tmp_path / "other", tmp_path / "model.safetensors")
    stopped(40, verse_path, "--resume")

    assert Checkpoint.load(tmp_path / "model.safetensors").config.embedding_size == 8


@pytest.mark.parametrize("name", ["notes", "notes.state"])
def test_overwrite_replaces_nothing_but_a_model_and_a_state(charlm, verse_path, tmp_path, name):
    (tmp_path / name).write_text("precious notes of some length\n")
    results = [
        charlm("train", verse_path, *SIZE, "--max-steps", 2, "-o", "notes", *more)
        for more in ([], ["--overwrite"])
    ]

    for result in results:
        assert result.returncode == 1
        assert f"error: {name} is text, not a charlm " in result.stderr.decode()
        assert "so it is not replaced\n\nhint: remove it, or name ano" in result.stderr.decode()
    assert (tmp_path / name).read_text() == "precious notes of some length\n"
    assert os.listdir(tmp_path) == [name]


def test_a_model_is_not_replaced_by_the_state_of_another(charlm, verse_path, begun, tmp_path):
    (tmp_path / "model.safetensors").rename(tmp_path / "other.state.safetensors")
    result = charlm("train", verse_path, *RUN, "-o", "other.safetensors", "--overwrite")

    assert result.returncode == 1
    assert b"other.state.safetensors is a safetensors file, but not a charlm state" in result.stderr


def test_the_command_that_is_told_minds_what_ends_options(charlm, stopped, verse_path, tmp_path):
    shutil.copy(verse_path, tmp_path / "-x.txt")
    talk = stopped(7, *RUN, "--", "-x.txt").stderr.decode()
    told = shlex.split(talk.rpartition("to go on: ")[2])

    assert charlm(*told[1:]).returncode == 0
