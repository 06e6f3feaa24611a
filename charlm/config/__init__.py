"""Settings and their defaults: frozen, validated dataclasses without torch and NumPy.

corpus       how texts become ids, and which part is held out
model        the network's size, cell, direction and task
training     the optimizer, the batches and the limits of a run
generation   sampling, stopping, and which texts are kept
scoring      the unit of scores
checks       the checks of a value, and their messages

Every default is in these classes alone; the commands' options and help read it from here.
"""

from charlm.cells import Cell
from charlm.config.corpus import (
    DEFAULT_WORDS,
    LARGE_VOCABULARIES,
    TERMINATORS,
    CorpusConfig,
    Task,
    TokenizerKind,
)
from charlm.config.generation import (
    DEFAULT_LENGTH,
    LENGTH_BESIDE_OTHERS,
    CandidateFilter,
    Limits,
    SamplingConfig,
    Speech,
    configs_of,
    require_pattern,
)
from charlm.config.model import (
    LARGE_EMBEDDING_SIZE,
    SMALLEST_FITTED_SIZE,
    Direction,
    ModelConfig,
    Nonlinearity,
    SingleDirection,
)
from charlm.config.scoring import DEFAULT_SCORE_UNIT, ScoreUnit
from charlm.config.training import (
    DEFAULT_BPTT_LENGTH,
    DEFAULT_DROPOUT,
    DEFAULT_LEARNING_RATE,
    DEFAULT_MAX_TIME,
    DEFAULT_SAVE_EVERY,
    DEFAULT_WEIGHT_DECAY,
    SHORT_BPTT_LENGTH,
    Device,
    Initialisation,
    OptimizerName,
    Precision,
    TrainingConfig,
)

DEFAULT_MODEL_PATH = "model.safetensors"

__all__ = [
    "DEFAULT_BPTT_LENGTH",
    "DEFAULT_DROPOUT",
    "DEFAULT_LEARNING_RATE",
    "DEFAULT_LENGTH",
    "DEFAULT_MAX_TIME",
    "DEFAULT_MODEL_PATH",
    "DEFAULT_SAVE_EVERY",
    "DEFAULT_SCORE_UNIT",
    "DEFAULT_WEIGHT_DECAY",
    "DEFAULT_WORDS",
    "LARGE_EMBEDDING_SIZE",
    "LARGE_VOCABULARIES",
    "LENGTH_BESIDE_OTHERS",
    "SHORT_BPTT_LENGTH",
    "SMALLEST_FITTED_SIZE",
    "TERMINATORS",
    "CandidateFilter",
    "Cell",
    "CorpusConfig",
    "Device",
    "Direction",
    "Initialisation",
    "Limits",
    "ModelConfig",
    "Nonlinearity",
    "OptimizerName",
    "Precision",
    "SamplingConfig",
    "ScoreUnit",
    "SingleDirection",
    "Speech",
    "Task",
    "TokenizerKind",
    "TrainingConfig",
    "configs_of",
    "require_pattern",
]
