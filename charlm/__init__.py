"""charlm: train a small recurrent language model on your own text; generate and score text with it.

    text ─ corpus ─ ids ─ training ────▶ model.safetensors ────▶ inference ─┬─ generation ─▶ text
              │           PyTorch        checkpoint.py           NumPy      └─ scoring ────▶ scores
          tokenizers

The map of the package, from the lowest layer up. A module imports from lower layers and from its
own package; `tests/test_architecture.py` checks it.

    errors, formatting   errors that a user can fix; numbers and texts for people
    cells                the table of recurrent cells
    config/              settings and their defaults
    files/               atomic writes, the lock, safetensors with a hash, file types
    fingerprint          a Bloom filter of the training text
    process_group        the processes of a run under torchrun
    tokenizers/          text ⇄ ids
    ngram/               n-gram counts, which predict beside the network
    parameters           every matrix and vector of a network
    corpus/              text on disk → ids on disk → windows and batches
    checkpoint           the model file
    inference/           NumPy: the network, sampling, generation and scoring
    training/            PyTorch: the network, the plan, the loop and the training state
    display/             progress, scores and errors on a terminal; plots
    pages/               HTML pages: the surprisal of a text, a model
    cli/                 the commands: train/, generate/, eval/, info/ and export

Where to add:

    a cell                            an entry in cells.py; its update in inference/runtime.py and
                                      pages/network.js; its torch layer in training/network.py
    a sampling filter                 a field in config/generation.py; a function and its entry in
                                      inference/sampling.py; an option in cli/generate/
    a tokenizer                       a module in tokenizers/; two cases in tokenizers/__init__.py;
                                      its name in config/corpus.py; its encoding in pages/network.js
    a field of the training state     training/state.py; its value in training/run.py
    a subcommand                      a module or folder in cli/; its name in cli/__init__.py
    a network for another task        settings in config/model.py; matrices in parameters.py; its
                                      torch module, as training/classifier.py, and the entry in
                                      training/networks.py; the same in inference/classifier.py;
                                      an option in cli/train/

The public names are below. Programs start with `charlm.load(path)`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlm.errors import CharlmError as CharlmError
    from charlm.inference.attention import AttentionMatrix as AttentionMatrix
    from charlm.inference.classification import ClassPrediction as ClassPrediction
    from charlm.inference.inspection import NetworkState as NetworkState
    from charlm.inference.model import Model as Model
    from charlm.inference.model import load as load
    from charlm.inference.scoring import Score as Score
    from charlm.inference.token_scores import TokenScores as TokenScores

# Imported on first use, so that `charlm --help` does not wait for NumPy.
_MODULES = {
    "AttentionMatrix": "charlm.inference.attention",
    "CharlmError": "charlm.errors",
    "ClassPrediction": "charlm.inference.classification",
    "Model": "charlm.inference.model",
    "NetworkState": "charlm.inference.inspection",
    "Score": "charlm.inference.scoring",
    "TokenScores": "charlm.inference.token_scores",
    "load": "charlm.inference.model",
}

__all__ = [
    "AttentionMatrix",
    "CharlmError",
    "ClassPrediction",
    "Model",
    "NetworkState",
    "Score",
    "TokenScores",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'charlm' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
