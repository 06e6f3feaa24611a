"""charlm: train a small recurrent language model on your own text; let it speak and judge text.

    text ─ corpus ─ ids ─ training ────▶ model.safetensors ────▶ inference ─ text, scores
           PyTorch learns                   one file                NumPy speaks and judges

The rooms, from the floor up; each imports only from those above it in this list:

errors        what can go wrong in a way that a user can mend
baselines     what compressors make of a text
config        every setting and its default
atomic        files that are replaced whole
lock          one process at a time writes an output
fingerprint   what a training text says, so small that a model can hold it
tensorfile    facts and arrays in one file, with their hash
parameters    every matrix and vector of a network
filetypes     names for files that were given by mistake
tokenizers    text ⇄ ids
corpus        text on disk → ids on disk → streams, batches and passages
checkpoint    the one file between the halves
inference     NumPy: runtime, sampling, generation, scoring, model
training      PyTorch: network, plan, loop
display       how progress and errors look
cli           one file a command

The public names are below; `charlm.load(path)` is where a program starts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlm.errors import CharlmError as CharlmError
    from charlm.inference.model import Model as Model
    from charlm.inference.model import load as load
    from charlm.inference.scoring import Score as Score
    from charlm.inference.token_scores import TokenScores as TokenScores

# Loaded when first asked for, so that `charlm --help` does not wait for NumPy.
_HOMES = {
    "CharlmError": "charlm.errors",
    "Model": "charlm.inference.model",
    "Score": "charlm.inference.scoring",
    "TokenScores": "charlm.inference.token_scores",
    "load": "charlm.inference.model",
}

__all__ = ["CharlmError", "Model", "Score", "TokenScores", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'charlm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
