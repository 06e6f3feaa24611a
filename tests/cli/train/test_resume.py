"""`charlm train --resume` as a user runs it."""

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from charlm.checkpoint import Checkpoint
from charlm.cli.train.resume import nats_of_later_model
from charlm.training.state import TrainingState

SIZE = ("--hidden-size", 16, "--embedding-size", 8, "--batch-size", 64, "--bptt-length", 32)
MODEL, STATE = "model.safetensors", "model.state.safetensors"
FORMER_METRICS = '{"what": "stands there already"}\n'
RUN = (*SIZE, "--max-steps", 60, "--dropout", 0.2)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


@pytest.fixture(scope="session")
def train_until(run_python):
    """Train in a folder until a number of steps, then press Ctrl-C."""

    def run(folder, steps, *arguments, stdin=b""):
        file = Path(__file__).with_name("stopped_after.py")
        return run_python(file, steps, "train", *arguments, cwd=folder, stdin=stdin)

    return run


@pytest.fixture
def stopped(train_until, tmp_path):
    """Train until a number of steps."""

    def run(steps, *arguments, **more):
        return train_until(tmp_path, steps, *arguments, **more)

    return run


@pytest.fixture(scope="module")
def stopped_folder(train_until, verse_path, tmp_path_factory):
    """The files of a run of 60 steps that was stopped after 25."""
    folder = tmp_path_factory.mktemp("stopped")
    assert train_until(folder, 25, verse_path, *RUN).returncode == 130
    return folder


@pytest.fixture(scope="module")
def whole(run_charlm, verse_path, tmp_path_factory):
    """The folder of the same run that was never stopped, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "m.jsonl").write_text(FORMER_METRICS)
    arguments = [*RUN, "--resume", "--metrics", "m.jsonl"]
    result = run_charlm("train", verse_path, *arguments, cwd=folder)
    assert result.returncode == 0
    return folder, result.stderr.decode()


@pytest.fixture
def begun(stopped_folder, tmp_path):
    """Have the files of the stopped run in the current folder."""
    shutil.copytree(stopped_folder, tmp_path, dirs_exist_ok=True)


def weights(path):
    return Checkpoint.load(path).weights_sha256


def metrics_of(path):
    """Return the lines of metrics without times, and without the run: the name of its model."""
    return [
        {k: v for k, v in json.loads(line).items() if "second" not in k and k != "run"}
        for line in path.read_text().splitlines()
    ]


def test_the_printed_command_resumes_bit_for_bit(charlm, stopped, whole, verse_path, tmp_path):
    """The model is that of a run that was never stopped, and so are the metrics."""
    (tmp_path / "m.jsonl").write_text(FORMER_METRICS)
    first = stopped(25, verse_path, *RUN, "-o", "a model", "--metrics", "m.jsonl")
    printed = first.stderr.decode()
    command = shlex.split(printed.rpartition("to go on: ")[2])

    assert first.returncode == 130
    assert "\nstopping: the run is saved in a model.state\n" in printed
    assert "\nstopped as asked after 25 steps in " in printed
    assert command[:3] == ["charlm", "train", "--resume"]
    with (tmp_path / "m.jsonl").open("a") as file:
        file.write('{"step": 26, "split": "trai')  # as a process that dies leaves it
    second = charlm(*command[1:])
    assert second.returncode == 0
    assert "\ngoing on after 25 steps\n" in second.stderr.decode()
    assert weights(tmp_path / "a model") == weights(whole[0] / MODEL)
    assert len(metrics_of(tmp_path / "m.jsonl")) > 7
    assert metrics_of(tmp_path / "m.jsonl") == metrics_of(whole[0] / "m.jsonl")
    assert sorted(os.listdir(tmp_path)) == ["a model", "a model.state", "m.jsonl"]


def test_resume_needs_no_option_but_the_corpus(charlm, begun, whole, verse_path, tmp_path):
    result = charlm("train", verse_path, "--resume")

    assert result.returncode == 0
    assert "done after 60 steps" in result.stderr.decode()
    assert weights(tmp_path / MODEL) == weights(whole[0] / MODEL)


def test_stdin_is_read_again(charlm, stopped, whole, verse_path, tmp_path):
    stopped(25, "-", *RUN, stdin=verse_path.read_bytes())
    again = charlm("train", "-", "--resume", stdin=verse_path.read_bytes())

    assert again.returncode == 0
    assert weights(tmp_path / MODEL) == weights(whole[0] / MODEL)


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
    assert weights(tmp_path / MODEL) == weights(tmp_path / "whole")


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
def test_a_fixed_setting_is_refused(charlm, begun, verse_path, tmp_path, options, message):
    before = (tmp_path / STATE).read_bytes()
    result = charlm("train", verse_path, "--resume", *options)

    assert result.returncode == 2
    assert message in result.stderr.decode()
    assert (tmp_path / STATE).read_bytes() == before


def test_another_text_is_refused(charlm, begun, verse_path, tmp_path):
    (tmp_path / "other.txt").write_text(verse_path.read_text() + "one line more\n")
    (tmp_path / "held-out.txt").write_text("the cat sat")
    other = charlm("train", "other.txt", "--resume")
    two = charlm("train", verse_path, "other.txt", "--resume")
    held_out = charlm("train", verse_path, "--validation", "held-out.txt", "--resume")

    assert other.returncode == two.returncode == held_out.returncode == 2
    assert re.search(
        r"error: other.txt is not the text that the run was trained on: its SHA-256 is "
        r"[0-9a-f]{12}…, not [0-9a-f]{12}…\n\nhint: name the unchanged text; or ",
        other.stderr.decode(),
    )
    assert "error: the run was trained on 1 document, not 2\n" in two.stderr.decode()
    assert "error: the held-out text is not the one that" in held_out.stderr.decode()


def test_the_hint_for_another_text_names_commands_that_work(charlm, begun, verse_path, tmp_path):
    (tmp_path / "other.txt").write_text(verse_path.read_text() + "one line more\n")
    refused = charlm("train", "other.txt", "--resume").stderr.decode()

    assert (
        "or go on from its model, on other texts, with --from model.safetensors and another "
        "--output instead of --resume; or begin a new run with --overwrite\n" in refused
    )
    (tmp_path / MODEL).rename(tmp_path / "away")
    refused = charlm("train", "other.txt", "--resume").stderr.decode()
    (tmp_path / "away").rename(tmp_path / MODEL)
    assert "--from model" not in refused  # there is no model yet
    other = ("train", "other.txt", "--max-steps", 1)
    assert charlm(*other, "--from", MODEL, "-o", "new").returncode == 0
    assert charlm(*other, "--overwrite").returncode == 0


def test_a_longer_budget_is_printed_and_taken(charlm, stopped, begun, verse_path):
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
        "the run is over after 80 steps; to go on, give a larger budget: --max-steps 160\n"
    )
    assert "--max-time 3600s instead of --max-steps 80" in timed.stderr.decode()
    assert "\nstopped as asked after 90 steps in " in timed.stderr.decode()


def test_another_learning_rate_and_number_of_threads_are_printed_and_taken(
    charlm, begun, verse_path, tmp_path
):
    threads = min(2, os.cpu_count() or 1)
    result = charlm("train", verse_path, "--resume", "--learning-rate", 0.001, "--threads", threads)
    printed = result.stderr.decode()

    assert "; --learning-rate 0.001 instead of 0.015; --threads" in printed
    if threads == 2:
        assert (
            "\nnote: threads 2 instead of 1: the results may not be the same bit for bit\n"
        ) in printed
    training = Checkpoint.load(tmp_path / MODEL).provenance["training"]
    assert training["learning_rate"] == 0.001


def test_resume_begins_a_run_where_there_is_none(charlm, whole, verse_path, tmp_path):
    """So one command can be repeated until the run is over."""
    folder, printed = whole
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    again = charlm("train", verse_path, *RUN, "--resume")

    assert "done after 60 steps" in printed
    assert again.returncode == 0
    assert "the run is over after 60 steps" in again.stderr.decode()


def test_a_model_without_its_run_is_not_replaced_by_a_new_one(charlm, begun, verse_path, tmp_path):
    (tmp_path / STATE).unlink()
    result = charlm("train", verse_path, "--resume")

    assert result.returncode == 2
    assert (
        b"error: there is a model at model.safetensors, but not the state of its run, "
        b"model.state.safetensors\n\nhint: go on from the model with --from model.safetensors"
    ) in result.stderr


def test_a_run_without_its_model_is_not_replaced_but_makes_it(
    charlm, begun, whole, verse_path, tmp_path
):
    (tmp_path / MODEL).unlink()
    anew = charlm("train", verse_path, *RUN)
    again = charlm("train", verse_path, *RUN, "--resume")

    assert anew.returncode == 2
    assert (
        b"error: there is a run at model.state.safetensors already\n\n"
        b"hint: go on with it with --resume, replace it with --overwrite" in anew.stderr
    )
    assert again.returncode == 0
    assert weights(tmp_path / MODEL) == weights(whole[0] / MODEL)


def test_a_damaged_state_is_refused(charlm, begun, verse_path, tmp_path):
    path = tmp_path / STATE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = charlm("train", verse_path, "--resume")

    assert result.returncode == 2
    assert b"error: model.state.safetensors is damaged: " in result.stderr
    assert path.read_bytes() == data


def test_a_state_is_no_model_and_a_model_is_no_state(charlm, begun, verse_path, tmp_path):
    generated = charlm("generate", "-m", STATE)
    (tmp_path / STATE).write_bytes((tmp_path / MODEL).read_bytes())
    resumed = charlm("train", verse_path, "--resume")

    assert generated.returncode == resumed.returncode == 2
    assert b"is a safetensors file, but not a charlm model" in generated.stderr
    assert b"is a safetensors file, but not a charlm state" in resumed.stderr


def test_a_new_run_replaces_the_state_of_the_one_before(charlm, begun, verse_path, tmp_path):
    charlm("train", verse_path, *SIZE, "--max-steps", 5, "--overwrite")
    state = TrainingState.load(tmp_path / STATE)

    assert (state.progress.step, state.progress.is_over) == (5, True)


def test_a_second_training_is_refused_with_the_first_ones_number(
    charlm, charlm_path, verse_path, tmp_path
):
    with subprocess.Popen(
        [charlm_path, "train", str(verse_path), *map(str, SIZE), "--max-time", "1h"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    ) as first:
        first.stderr.readline()  # "read …"
        second = charlm("train", verse_path, "--overwrite")
        first.kill()
    third = charlm("train", verse_path, *SIZE, "--max-steps", 5, "--overwrite")

    assert second.returncode == 2
    assert (
        f"error: another training, process {first.pid}, is writing model.safetensors\n"
        in second.stderr.decode()
    )
    assert third.returncode == 0


@pytest.mark.parametrize("steps", [1, 25])
def test_another_metrics_file_is_appended_to(charlm, stopped, verse_path, tmp_path, steps):
    """Also if the run had written nothing yet, so that its position was the start of the file."""
    stopped(steps, verse_path, *RUN, "--metrics", "m.jsonl")
    (tmp_path / "other.jsonl").write_text('{"precious": 1}\n' * 500)
    result = charlm("train", verse_path, "--resume", "--metrics", "other.jsonl")

    assert b"\nnote: this is not the metrics file of the run, or another run" in result.stderr
    assert (tmp_path / "other.jsonl").read_text().startswith('{"precious": 1}\n' * 500 + "{")


def test_a_run_without_its_metrics_file_is_noted(charlm, whole, verse_path, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    result = charlm("train", verse_path, "--resume", "--max-steps", 61)

    assert b"\nnote: without --metrics, no more metrics of this run are written\n" in result.stderr


def test_the_state_of_a_model_behind_a_link_is_beside_the_model(
    charlm, stopped, verse_path, tmp_path
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/model")
    stopped(7, verse_path, *RUN, "-o", "link")
    result = charlm("train", verse_path, "-o", "folder/model", "--resume")

    assert sorted(os.listdir(tmp_path)) == ["folder", "link"]
    assert sorted(os.listdir(tmp_path / "folder")) == ["model", "model.state"]
    assert result.returncode == 0


def test_a_stop_before_a_resumed_run_says_that_it_is_still_saved(
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
        printed = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert printed == (
        b"stopped before training went on; the run is still saved in model.state.safetensors\n"
    )


def test_a_better_model_of_a_run_that_was_killed_is_not_replaced_by_worse_ones(
    charlm, stopped, whole, verse_path, tmp_path
):
    """The state is of step 0; the model is one that was saved later."""
    stopped(1, verse_path, *RUN)
    shutil.copy(whole[0] / MODEL, tmp_path / MODEL)
    best = (tmp_path / MODEL).read_bytes()
    printed = stopped(40, verse_path, "--resume").stderr.decode()

    assert "\nnote: model.safetensors keeps the better model that it had before\n" in printed
    assert (tmp_path / MODEL).read_bytes() == best
    assert charlm("train", verse_path, "--resume").returncode == 0
    assert Checkpoint.load(tmp_path / MODEL).provenance["steps"] == 60


def test_only_a_later_model_of_the_same_run_counts(stopped_folder, whole, tmp_path):
    state = TrainingState.load(stopped_folder / STATE)
    model = Checkpoint.load(whole[0] / MODEL)
    provenance = model.provenance
    other_config = replace(state.model, document_separator="%")
    others = {
        "another network": replace(state, last=replace(state.last, config=other_config)),
        "other texts": replace(state, texts=("0" * 64, state.texts[-1])),
        "as late": replace(state, progress=replace(state.progress, step=60)),
    }

    assert nats_of_later_model(whole[0] / MODEL, state) == provenance["validation"]["nats"]
    assert nats_of_later_model(tmp_path / "nothing", state) == math.inf
    for name, other in others.items():
        assert nats_of_later_model(whole[0] / MODEL, other) == math.inf, name
    for change in ({"stopped": True}, {"steps": "many"}, {"validation": {}}):
        replace(model, provenance={**provenance, **change}).save(tmp_path / "changed")
        assert nats_of_later_model(tmp_path / "changed", state) == math.inf, change


def test_the_printed_command_keeps_the_end_of_options(charlm, stopped, verse_path, tmp_path):
    shutil.copy(verse_path, tmp_path / "-x.txt")
    printed = stopped(7, *RUN, "--", "-x.txt").stderr.decode()
    command = shlex.split(printed.rpartition("to go on: ")[2])

    assert charlm(*command[1:]).returncode == 0
