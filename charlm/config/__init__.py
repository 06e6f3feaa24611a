"""Every setting and its default: frozen, validated dataclasses that need neither torch nor NumPy.

A default stands here and nowhere else; the commands' flags and help read it from these classes.
"""

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
    GenerationConfig,
    require_pattern,
)
from charlm.config.model import (
    LARGE_EMBEDDING_SIZE,
    SMALLEST_FITTED_SIZE,
    Cell,
    Direction,
    ModelConfig,
    Nonlinearity,
    SingleDirection,
)
from charlm.config.scoring import DEFAULT_SCORE_UNIT, ScoreUnit
from charlm.config.training import (
    DEFAULT_BPTT_LENGTH,
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
    "GenerationConfig",
    "Initialisation",
    "ModelConfig",
    "Nonlinearity",
    "OptimizerName",
    "Precision",
    "ScoreUnit",
    "SingleDirection",
    "Task",
    "TokenizerKind",
    "TrainingConfig",
    "require_pattern",
]
