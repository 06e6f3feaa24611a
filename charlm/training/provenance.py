"""What a model file records of its origin."""

import importlib.metadata
import math
from collections.abc import Mapping
from typing import Any

from charlm.checkpoint import Checkpoint
from charlm.corpus.encoding import Corpus
from charlm.training.hardware import describe
from charlm.training.plan import Plan
from charlm.training.state import Best


def origin_of(start: Checkpoint | None) -> dict[str, Any]:
    """Return what is recorded of the model that a run starts from; JSON."""
    if start is None:
        return {}
    corpus = start.provenance.get("corpus", [])
    return {"from": {"weights_sha256": start.weights_sha256, "corpus": corpus}}


def provenance(
    corpus: Corpus, plan: Plan, origin: Mapping[str, Any], validation: Best, *, planned_steps: int
) -> dict[str, Any]:
    """Return what is recorded of a model: its texts, settings, machine and score; JSON."""
    machine = dict(describe(plan.device, plan.precision, plan.processes))
    torch_version = machine.pop("torch_version")
    held_out, known = corpus.validation, corpus.source_characters
    return {
        **origin,
        "corpus": [
            {
                "name": document.name,
                "characters": document.characters,
                "bytes": document.bytes,
                "sha256": document.sha256,
            }
            for document in corpus.documents
        ],
        **({"source_characters": known} if known else {}),
        "train": {"characters": plan.characters, "tokens": plan.predictions},
        "validation": {
            "from": corpus.held_out or "another text",
            "characters": held_out.characters,
            "tokens": held_out.predictions,
            "nats": validation.nats,
            "bits_per_character": validation.nats / held_out.characters / math.log(2),
            **({"errors": validation.errors} if plan.model.has_encoder else {}),
        },
        "training": {**plan.config.to_json(), **machine},
        "chosen": list(plan.reasons),
        "steps": validation.step,
        "planned_steps": planned_steps,
        "epochs": round(validation.epoch, 4),
        "seconds": round(validation.seconds, 3),
        "charlm_version": importlib.metadata.version("charlm"),
        "torch_version": torch_version,
    }
