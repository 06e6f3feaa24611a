"""Each process reads its shard, and all shards are the whole batch."""

import pytest

from charlm.config import TrainingConfig
from charlm.process_group import Process, ProcessGroup
from charlm.training.data_loader import training_batches


def group_of(rank, size):
    return ProcessGroup(Process(rank=rank, world_size=size, local_rank=rank, local_world_size=size))


@pytest.mark.parametrize("task", ["text", "lines"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_shards_of_all_processes_are_the_batch_of_one(corpus_of, task, size):
    corpus = corpus_of("my dog has fleas,\nand 7 cats\nknow about\n" * 30, task=task)
    config = TrainingConfig(batch_size=7, bptt_length=8)
    alone = training_batches(corpus, config)
    processes = [training_batches(corpus, config, group_of(rank, size)) for rank in range(size)]

    for step in range(40):
        batch = alone.batch(step)
        shards = [process.batch(step) for process in processes]
        rows = [
            row.tolist()
            for shard in shards
            for row, is_scored in zip(shard.targets, shard.is_scored, strict=True)
            if is_scored.any()
        ]
        expected = batch.targets.tolist()
        if task == "lines":  # a shard is as wide as its own longest line
            rows, expected = (sorted(map(bare, lines)) for lines in (rows, expected))
        assert rows == expected
        assert sum(shard.is_scored.sum() for shard in shards) == batch.is_scored.sum()


def bare(row):
    """Return a line's ids as far as its end, the largest id."""
    return row[: row.index(max(row)) + 1]


def test_a_process_without_a_line_reads_one_that_does_not_count(corpus_of):
    corpus = corpus_of("a long line of one batch\n" * 30, task="lines")
    config = TrainingConfig(batch_size=1, bptt_length=25)
    first, second = (
        training_batches(corpus, config, group_of(rank, 2)).batch(0) for rank in range(2)
    )

    assert first.is_scored.all()
    assert second.inputs.shape == first.inputs.shape
    assert not second.is_scored.any()
