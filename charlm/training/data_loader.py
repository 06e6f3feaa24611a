"""The batches of the training text, and the windows of the validation text."""

from charlm.config import Task, TrainingConfig
from charlm.corpus.batches import ExampleBatches, Streams
from charlm.corpus.encoding import Corpus
from charlm.corpus.shards import RunningText
from charlm.corpus.windows import Windows
from charlm.process_group import SINGLE_PROCESS, ProcessGroup


def training_batches(
    corpus: Corpus, config: TrainingConfig, group: ProcessGroup = SINGLE_PROCESS
) -> Streams | ExampleBatches:
    """Return this process's shard of the training text, as streams or as batches of examples."""
    boundary_id = corpus.tokenizer.boundary_id
    if isinstance(corpus.train, RunningText):
        return Streams(
            corpus.train,
            boundary_id,
            batch_size=config.batch_size,
            bptt_length=config.window_length,
            rng_seed=config.rng_seed,
            streams=group.shard(config.batch_size),
        )
    return ExampleBatches(
        corpus.train,
        corpus.config.task,
        boundary_id,
        positions=config.batch_size * config.window_length,
        rng_seed=config.rng_seed,
        rank=group.rank,
        world_size=group.world_size,
    )


def validation_windows(corpus: Corpus, task: Task) -> Windows:
    """Return the windows of the whole validation text."""
    text = corpus.validation
    return Windows.for_scoring(task, text.ids, text.boundaries, corpus.tokenizer.boundary_id)
