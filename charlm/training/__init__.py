"""Training in PyTorch, which is imported here and nowhere else.

network              the torch module of a language model, and initial weights
encoder              recurrent layers that read both ways
encoder_decoder      the torch module for pairs, with attention
classifier           the torch modules for labels and tags
networks             the torch module of each kind of model
recurrence           GRU and simple RNN on a CPU, with gradients of our own
embeddings           word vectors to start from
loss                 cross-entropy, over all outputs or a sample; the loss of a step
optimizer            the optimizers and their state
scoring              the score of a text, on any device
trainer              the batches, one optimizer step, and one validation pass
hardware             device, precision, threads and memory
state                a run between two steps, as data and as a file
state_fields         the JSON of a state file, read without trust
estimate             the number of steps, their throughput, and the memory that they take
encoder_settings     what the plan chooses for networks with an encoder
plan                 what to train, from the size of the text and the budget
schedule             the learning rate along a run, and the clock that fits it to the time
events               what a run yields
provenance           what a model file records of its origin
samples              a short text of a model in training
run                  a run between its events, and whether it has diverged
loop                 runs a plan and yields events
dynamic_evaluation   a model that is trained on the text that it scores
gradient_distance    how the gradient depends on the distance
distributed          several processes that train one network, under torchrun
"""

import os

from charlm.errors import TrainingError

# Bytes of address space. PyTorch takes 800 million when it has trained one step. Below 860 million
# its libraries abort the process.
PYTORCH_ADDRESSES = 900_000_000


def check_room_for_pytorch() -> None:
    """Raise TrainingError if the address space is too small to load PyTorch, which would abort."""
    try:
        import resource  # POSIX only
    except ImportError:
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < PYTORCH_ADDRESSES:
        raise TrainingError(
            f"PyTorch needs {PYTORCH_ADDRESSES // 1_000_000} MB of address space, "
            f"but this shell allows {allowed // 1_000_000} MB",
            hint=f"ulimit -v {2 * PYTORCH_ADDRESSES // 1024}, or more",
        )


# GNU OpenMP reads this when torch is loaded. By default a thread that waits for another one spins.
# On a busy machine each of the hundreds of waits in an LSTM step then costs a time slice. Two
# trainings at once on two cores read 250 characters per second each; with short spins they read
# 8,000, and a single one loses nothing (38,900 against 38,400).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
