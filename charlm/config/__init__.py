"""Settings and their defaults: frozen, validated dataclasses without torch and NumPy.

corpus       how texts become ids, and which part is held out
model        the network's size, cell, direction and task
training     the optimizer, the batches and the limits of a run
generation   sampling, stopping, and which texts are kept
scoring      the unit of scores
page         what a page holds of a model
patterns     regular expressions that end in time
checks       the checks of a value, and their messages

Every default is in these classes alone; the commands' options and help read it from here.
"""

from charlm.cells import Cell as Cell
from charlm.config.corpus import CLASS_TASKS as CLASS_TASKS
from charlm.config.corpus import DEFAULT_HELD_OUT_EXAMPLES as DEFAULT_HELD_OUT_EXAMPLES
from charlm.config.corpus import DEFAULT_WORDS as DEFAULT_WORDS
from charlm.config.corpus import LARGE_VOCABULARIES as LARGE_VOCABULARIES
from charlm.config.corpus import TERMINATORS as TERMINATORS
from charlm.config.corpus import Columns as Columns
from charlm.config.corpus import CorpusConfig as CorpusConfig
from charlm.config.corpus import HeldOut as HeldOut
from charlm.config.corpus import Task as Task
from charlm.config.corpus import TokenizerKind as TokenizerKind
from charlm.config.generation import DEFAULT_LENGTH as DEFAULT_LENGTH
from charlm.config.generation import LENGTH_BESIDE_OTHERS as LENGTH_BESIDE_OTHERS
from charlm.config.generation import CandidateFilter as CandidateFilter
from charlm.config.generation import GenerationConfig as GenerationConfig
from charlm.config.model import ENCODER_NUM_LAYERS as ENCODER_NUM_LAYERS
from charlm.config.model import LARGE_EMBEDDING_SIZE as LARGE_EMBEDDING_SIZE
from charlm.config.model import SMALLEST_FITTED_SIZE as SMALLEST_FITTED_SIZE
from charlm.config.model import Direction as Direction
from charlm.config.model import Encoder as Encoder
from charlm.config.model import ModelConfig as ModelConfig
from charlm.config.model import Nonlinearity as Nonlinearity
from charlm.config.model import SingleDirection as SingleDirection
from charlm.config.page import PageConfig as PageConfig
from charlm.config.page import WeightType as WeightType
from charlm.config.patterns import UserPattern as UserPattern
from charlm.config.patterns import require_pattern as require_pattern
from charlm.config.scoring import DEFAULT_SCORE_UNIT as DEFAULT_SCORE_UNIT
from charlm.config.scoring import ScoreUnit as ScoreUnit
from charlm.config.training import DEFAULT_BPTT_LENGTH as DEFAULT_BPTT_LENGTH
from charlm.config.training import DEFAULT_DROPOUT as DEFAULT_DROPOUT
from charlm.config.training import DEFAULT_LEARNING_RATE as DEFAULT_LEARNING_RATE
from charlm.config.training import DEFAULT_MAX_TIME as DEFAULT_MAX_TIME
from charlm.config.training import DEFAULT_SAVE_EVERY as DEFAULT_SAVE_EVERY
from charlm.config.training import DEFAULT_WEIGHT_DECAY as DEFAULT_WEIGHT_DECAY
from charlm.config.training import SHORT_BPTT_LENGTH as SHORT_BPTT_LENGTH
from charlm.config.training import Device as Device
from charlm.config.training import Initialisation as Initialisation
from charlm.config.training import OptimizerName as OptimizerName
from charlm.config.training import Precision as Precision
from charlm.config.training import TrainingConfig as TrainingConfig

DEFAULT_MODEL_PATH = "model.safetensors"
