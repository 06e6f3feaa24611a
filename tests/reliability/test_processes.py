"""Several processes compute what one computes, and one of them reports an error.

They are forked; test_torchrun.py has those that torchrun starts.
"""

import json
import os
import shutil
from pathlib import Path

import forked
import numpy as np
import pytest

from charlm.checkpoint import Checkpoint

pytestmark = pytest.mark.skipif(not forked.IS_POSSIBLE, reason="forks processes")

LOSSES = Path(__file__).with_name("losses_in_processes.py")
# Runs charlm in another directory, or with another option, if it is the second process.
ELSEWHERE = """
import os, sys
if os.environ["RANK"] == "1":
    os.chdir("elsewhere")
    sys.argv += os.environ.get("MORE", "").split()
from charlm.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def losses(run_processes, tmp_path_factory):
    """Return what `losses_in_processes.py` prints, by the number of processes."""
    directory = tmp_path_factory.mktemp("losses")
    random = np.random.default_rng(0)
    words = "the cat sat on mat and dog log where did go home".split()
    lines = [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(400)]
    (directory / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    (directory / "pairs.txt").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines))
    (directory / "classes.txt").write_text(  # labels, and tags of sentences of three tokens
        "".join(
            f"{line}\t{'early' if line < 'm' else 'late'}\n{'' if number % 3 < 2 else chr(10)}"
            for number, line in enumerate(lines)
        )
    )

    def run(processes, goes_on):
        command = [LOSSES, "lines.txt", "pairs.txt", "classes.txt", *["--goes-on"] * goes_on]
        result = run_processes(processes, command, cwd=directory)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run, run(1, True)


@pytest.mark.parametrize(("processes", "goes_on"), [(2, True), (3, False)])
def test_several_processes_have_the_losses_of_one_and_go_on(losses, processes, goes_on):
    """With seven streams, which are not shared evenly, and lines, of which some have none."""
    run, alone = losses
    together = run(processes, goes_on)

    assert together.keys() == alone.keys()
    for name, one in alone.items():
        assert len(one["nats"]) > 25
        assert together[name]["nats"] == pytest.approx(one["nats"], rel=1e-5), name
        if name != "tags":  # of tokens that are whole lines, for which 30 steps are too few
            assert one["nats"][-2] < one["nats"][0] - 0.15, name
    resumed = [name for name in alone if "from one" in alone[name]]
    assert len(resumed) == 5
    for name in resumed * goes_on:
        assert (alone[name]["goes on alike"], together[name]["goes on alike"]) == (True, True)
        assert len(alone[name]["from one"]) > 0
        assert together[name]["from one"] == pytest.approx(alone[name]["from one"], rel=1e-6)


def test_the_first_of_two_reports_and_writes(train, directory):
    status, output = train(2, "--max-steps", "60", "-o", "model", "--metrics", "metrics")
    metrics = [json.loads(line) for line in (directory / "metrics").read_text().splitlines()]
    steps = [record["step"] for record in metrics if record["split"] == "train"]
    provenance = Checkpoint.load(directory / "model").provenance

    assert status == 0
    for text in ("read 5", "2 processes", "1 thread in each", "saved"):
        assert output.count(text) == 1
    assert steps == [10, 20, 30, 40, 50, 60]
    assert (provenance["training"]["processes"], provenance["corpus"][0]["name"]) == (2, "text.txt")


def test_processes_agree_on_the_plan_of_a_time_budget(train):
    status, output = train(2, "--max-time", "3s", "-o", "model")

    assert status == 0, output
    assert "done after" in output


ANOTHER = "a text of its own\n" * 100
SAME = "the text of all\n" * 100


@pytest.mark.parametrize(
    ("elsewhere", "option", "error"),
    [
        (None, "", "error: [rank 1] text.txt does not exist"),
        (ANOTHER, "", "error: process 1 has a different text from process 0"),
        (
            SAME,
            "--learning-rate 0.1",
            "error: --learning-rate is 0.1 in process 1, but not given in process 0",
        ),
    ],
    ids=["no text", "another text", "another option"],
)
def test_a_difference_of_one_process_is_reported_once(train, directory, elsewhere, option, error):
    (directory / "elsewhere").mkdir()
    (directory / "start.py").write_text(ELSEWHERE)
    (directory / "text.txt").write_text(SAME)
    if elsewhere is not None:
        (directory / "elsewhere" / "text.txt").write_text(elsewhere)
    status, output = train(2, "--max-steps", "10", program="start.py", MORE=option)

    assert status in (1, 2)
    assert output.count("error: ") == 1
    assert error in output
    assert list(directory.glob("model*")) == []


def test_another_start_in_one_process_is_reported_once(
    train, directory, verse_model_path, random_checkpoint
):
    (directory / "elsewhere").mkdir()
    (directory / "start.py").write_text(ELSEWHERE)
    shutil.copy(directory / "text.txt", directory / "elsewhere")
    shutil.copy(verse_model_path, directory / "start")
    random_checkpoint().save(directory / "elsewhere" / "start")
    status, output = train(2, "--from", "start", "-o", "model", program="start.py")

    assert status == 2
    assert output.count("error: ") == 1
    assert "error: process 1 has a different start from process 0" in output


def test_another_held_out_text_on_one_machine_is_reported_once(train, directory):
    (directory / "elsewhere").mkdir()
    (directory / "start.py").write_text(ELSEWHERE)
    shutil.copy(directory / "text.txt", directory / "elsewhere")
    (directory / "held-out.txt").write_text(SAME)
    (directory / "elsewhere" / "held-out.txt").write_text(ANOTHER)
    status, output = train(
        2, "--validation", "held-out.txt", "-o", "model", machines=2, program="start.py"
    )

    assert status == 2
    assert output.count("error: ") == 1
    assert "error: process 1 has a different held-out text from process 0" in output
    assert list(directory.glob("model*")) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--max-steps", "100", "--learning-rate", "1e6"], "training has diverged"),
        (["--batch-sise", "3"], "no such option: --batch-sise"),
        (["--threads", 2 * (os.cpu_count() or 1), "--max-steps", "5"], "threads"),
    ],
    ids=["divergence", "no such option", "too many threads"],
)
def test_an_error_of_all_processes_is_reported_once_by_the_first(train, arguments, error):
    status, output = train(2, *arguments)

    assert status in (1, 2)
    assert output.count("error: ") == 1
    assert error in output


def test_stdin_by_a_name_that_only_the_first_can_read_is_refused(train, directory):
    with (directory / "text.txt").open("rb") as file:
        status, output = train(2, text="/dev/stdin", stdin=file)

    assert status == 2
    assert output.count("error: ") == 1
    assert "process 1 has a different list of files from process 0" in output
    assert "name standard input -" in output


def test_a_network_that_is_not_there_is_an_error_with_a_hint(train):
    status, output = train(2, "--max-steps", "5", GLOO_SOCKET_IFNAME="nosuch0")

    assert status == 2
    assert output.count("error: ") == 1
    assert "cannot connect to the others" in output
    assert "GLOO_SOCKET_IFNAME=eth0" in output


@pytest.mark.parametrize("command", ["info", "generate"])
def test_other_commands_report_errors_in_every_process(charlm, directory, command):
    environment = {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    }  # fmt: skip
    result = charlm(command, "-m", "none", cwd=directory, env=environment)

    assert result.returncode == 2
    assert result.stderr.startswith(b"error: there is no model at none")


def test_half_of_the_variables_of_torchrun_is_bad_usage(charlm, directory):
    result = charlm("train", "text.txt", cwd=directory, env={"RANK": "1"})

    assert result.returncode == 2
    assert b"error: RANK is set, but WORLD_SIZE is not" in result.stderr
