"""What `charlm info --memory` shows: how far back a model remembers."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from charlm.errors import ConfigError
from charlm.wording import sparkline

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint


def memory_facts(checkpoint: "Checkpoint", name: str) -> dict[str, Any]:
    """Return what --memory shows: a number for each length of context and each distance."""
    from charlm.corpus.reading import open_documents
    from charlm.inference.memory import nats_by_context
    from charlm.inference.runtime import Runtime

    if checkpoint.config.form != "text":
        raise ConfigError(
            f"--memory is for models of running text, not of {checkpoint.config.form}"
        )
    with open_documents([name]) as documents:
        text = "".join(chunk for document in documents for chunk in document.read_text())
    networks = [checkpoint.one_way(direction) for direction in checkpoint.config.directions]
    tokenizer = checkpoint.tokenizer
    nats = [
        nats_by_context(Runtime(network.config, network.arrays), tokenizer, text)
        for network in networks
    ]
    from charlm.training.memory import gradient_by_distance, memory_length

    gradients = [gradient_by_distance(network, text) for network in networks]
    directions = checkpoint.config.directions
    return {
        "context": [
            {"direction": direction, "tokens": tokens, "nats_per_token": value}
            for direction, values in zip(directions, nats, strict=True)
            for tokens, value in values.items()
        ],
        "gradient": [
            {"direction": direction, "layer": layer, "distance": distance, "norm": norm}
            for direction, layers in zip(directions, gradients, strict=True)
            for layer, norms in enumerate(layers)
            for distance, norm in norms.items()
        ],
        "memory_length": [
            {"direction": direction, "layer": layer, "tokens": memory_length(norms)}
            for direction, layers in zip(directions, gradients, strict=True)
            for layer, norms in enumerate(layers)
        ],
    }


def memory_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield figures and bars of each network: the score, and the gradient of each layer."""
    directions = list(dict.fromkeys(each["direction"] for each in facts["context"]))
    for direction in directions:
        context = [each for each in facts["context"] if each["direction"] == direction]
        gradient = [each for each in facts["gradient"] if each["direction"] == direction]
        if len(directions) > 1:
            yield f"{direction}:"
        bits = [each["nats_per_token"] / math.log(2) for each in context]
        yield "tokens             " + "".join(f"{each['tokens']:>8}" for each in context)
        yield "context, bits/token" + "".join(f"{value:8.3f}" for value in bits)
        yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(bits))
        for layer in sorted({each["layer"] for each in gradient}):
            norms = [each["norm"] for each in gradient if each["layer"] == layer]
            yield f"gradient, layer {layer:<3}" + "".join(f"{norm:8.1e}" for norm in norms)
            # Bars of the logarithm, for a gradient falls by powers.
            logs = [math.log(max(norm, 1e-12)) for norm in norms]
            yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(logs))
    for each in facts["memory_length"]:
        where = f"layer {each['layer']}" + f", {each['direction']}" * (len(directions) > 1)
        when = "at no distance" if each["tokens"] is None else f"after {each['tokens']:.0f} tokens"
        yield f"{where}: {when} the gradient is a hundredth of what it is after one"
