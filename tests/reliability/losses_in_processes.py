"""Prints, as JSON, the losses of small runs, and what they are if a run goes on.

One process runs it, or several that share each step; then the first process prints. With --goes-on,
several processes go on with the run that one process has saved in its middle.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from charlm.cli.train.torchrun import joined_processes
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import open_documents
from charlm.training.events import Progress
from charlm.training.loop import train
from charlm.training.plan import make_plan, resume_plan
from charlm.training.state import TrainingState
from charlm.training.trainer import Trainer

STEPS, RATE = 30, 0.03
HOW = {"batch_size": 7, "bptt_length": 16, "dropout": 0.0, "max_steps": STEPS, "precision": "fp32"}
SIZES = {"embedding_size": 6, "hidden_size": 10}
RUNS = {
    "text": ("text", {}, SIZES, {}),
    "documents": ("text", {"document_separator": "\n"}, SIZES, {}),
    "subwords": ("text", {"tokenizer": "bpe", "vocab_size": 40}, SIZES, {}),
    "lines": ("lines", {}, {**SIZES, "cell": "gru"}, {"optimizer": "adam"}),
    "pairs": ("pairs", {}, SIZES, {}),
    "attention": ("pairs", {}, {**SIZES, "encoder": "attention", "tie_weights": True}, {}),
    "labels": ("labels", {}, SIZES, {}),
    "tags": ("tags", {}, {**SIZES, "hidden_size": 12}, {}),
    "both directions": ("text", {}, {**SIZES, "direction": "both", "tie_weights": True}, {}),
    # A batch of so few positions has less lines than there are processes.
    "a line at a time": ("lines", {}, SIZES, {"batch_size": 3, "bptt_length": 10}),
}
GOING_ON = ("text", "lines", "both directions", "attention", "tags")


def read(path, group, task, corpus_settings, model_settings, settings):
    """Return a corpus, a network's size and how to train it."""
    corpus_config = CorpusConfig(task=task, **corpus_settings)
    separator = corpus_config.document_separator
    model = ModelConfig(task=task, document_separator=separator, **model_settings)
    config = TrainingConfig(**{**HOW, **settings})
    with open_documents([str(path)], group) as documents:
        corpus = encode_corpus(documents, corpus_config, group=group)
    model = replace(
        model,
        begins_after=corpus.config.begins_after or "",
        predicts_end=bool(corpus.config.predicts_end),
        num_classes=corpus.tokenizer.vocab_size - corpus.tokenizer.first_symbol,
    )
    return corpus, model, config


def losses(group, corpus, model, config):
    """Return the loss of each step, and the validation score after them, in nats."""
    trainer = Trainer(
        corpus,
        model,
        config,
        device=torch.device("cpu"),
        precision=torch.float32,
        group=group,
    )
    own = [float(trainer.step(step, RATE)[0]) for step in range(STEPS)]
    return [*group.all_reduce(own), trainer.validate()[0]]


def middle_of(events):
    """Return the state that was saved in the middle of a run."""
    [middle] = [
        event
        for event in events
        if isinstance(event, TrainingState) and event.progress.step == STEPS // 2 + 1
    ]
    return middle


def reported(events):
    """Return the losses that were reported in the second half of a run."""
    return [
        event.nats_per_token
        for event in events
        if isinstance(event, Progress) and event.step > STEPS // 2
    ]


def gone_on(group, corpus, state):
    plan = resume_plan(corpus, state, group)
    return list(train(corpus, plan, state=state, save_every=0.0, group=group))


def goes_on_alike(group, corpus, model, config):
    """Return whether a run that goes on from its middle ends in the same network."""
    events = list(
        train(corpus, make_plan(corpus, model, config, group=group), save_every=0.0, group=group)
    )
    others = gone_on(group, corpus, middle_of(events))
    one, other = (
        {
            **found[-1].state.last.arrays,
            **found[-1].state.optimizer_state,
            **found[-1].state.recurrent_state,
            "norms": found[-1].state.gradient_norms,
            "losses": np.array(reported(found)),
        }
        for found in (events, others)
    )
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) for name in one
    )


def from_one_process(group, corpus, model, config, path):
    """Return the losses of a run that one process began, when so many go on with it."""
    if group.world_size == 1:
        plan = make_plan(corpus, model, config)
        events = list(train(corpus, plan, save_every=0.0))
        middle_of(events).save(path)
    else:
        events = gone_on(group, corpus, TrainingState.load(path))
    return reported(events)


def main():
    torch.set_num_threads(1)
    text, pairs, classes = map(Path, sys.argv[1:4])
    paths = {"pairs": pairs, "labels": classes, "tags": classes}
    with joined_processes({}) as group:
        found = {}
        for name, (task, *settings) in RUNS.items():
            run = read(paths.get(task, text), group, task, *settings)
            found[name] = {"nats": losses(group, *run)}
            if name in GOING_ON and "--goes-on" in sys.argv:
                corpus, model, config = run
                found[name]["from one"] = from_one_process(group, *run, Path(f"{name}.state"))
                config = replace(config, dropout=0.2)
                found[name]["goes on alike"] = goes_on_alike(group, corpus, model, config)
        if group.process.is_first:
            print(json.dumps(found))


if __name__ == "__main__":
    main()
