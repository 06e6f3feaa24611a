"""Learns, in PyTorch, which is imported here and nowhere else.

network       the torch module and its initial weights
embeddings    word vectors to start from
hardware      device, precision and threads
optimization  the optimizers
schedule      the learning rate along a run, and its length
loss          cross-entropy, over all outputs or a sample
scoring       passages, scored by the network that learns
reader        what one network reads, and the state that it carries along
learner       one step of learning, one pass of validation
processes     several of them that train one network, as torchrun starts them
adaptation    dynamic evaluation: learning from what was scored
memory        how the gradient depends on the distance
pace          how fast a run goes, and what that means for its length
plan          what to train, from the text's size and the budget
events        what happens in a run
state         a run between two steps, as data
run           a run between its events
loop          runs the plan and yields what happens; prints nothing
"""

import os

from charlm.errors import TrainingError

# Bytes of addresses: 800 million are taken when PyTorch is loaded and has learnt a step, and below
# 860 million its libraries end a process without a word of ours.
PYTORCH_ADDRESSES = 900_000_000


def check_room_for_pytorch() -> None:
    """Raise TrainingError where PyTorch could not even be loaded: it would end in an abort."""
    try:
        import resource  # POSIX's
    except ImportError:
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < PYTORCH_ADDRESSES:
        raise TrainingError(
            f"PyTorch needs {PYTORCH_ADDRESSES // 1_000_000} MB of addresses, "
            f"but this shell allows {allowed // 1_000_000} MB",
            hint=f"ulimit -v {2 * PYTORCH_ADDRESSES // 1024}, or more",
        )


# GNU OpenMP reads this when torch is loaded. By default a thread that waits for another spins;
# where other programs use the cores, too, each of the hundreds of waits in an LSTM step costs a
# time slice. Two trainings at once on two cores learnt 250 characters a second each; with short
# spins they learn 8,000, and one alone loses nothing (38,900 against 38,400).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
