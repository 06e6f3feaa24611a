"""`charlm info --memory`: how much context a model uses."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from charlm.errors import ConfigError
from charlm.formatting import sparkline

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint


def memory_info(checkpoint: "Checkpoint", name: str) -> dict[str, Any]:
    """Return the figures of --memory: by length of context, and by distance of the gradient."""
    from charlm.corpus.reading import open_documents
    from charlm.inference.context_length import nats_by_context
    from charlm.inference.runtime import Runtime

    if checkpoint.config.task != "text":
        raise ConfigError(
            f"--memory is for models of running text, not of {checkpoint.config.task}"
        )
    with open_documents([name]) as documents:
        text = "".join(chunk for document in documents for chunk in document.read_text())
    networks = [checkpoint.for_direction(direction) for direction in checkpoint.config.directions]
    tokenizer = checkpoint.tokenizer
    nats = [
        nats_by_context(Runtime(network.config, network.arrays), tokenizer, text)
        for network in networks
    ]
    from charlm.training.gradient_distance import gradient_by_distance, memory_length

    gradients = [gradient_by_distance(network, text) for network in networks]
    directions = checkpoint.config.directions
    layers = [
        (direction, layer, norms)
        for direction, norms_by_layer in zip(directions, gradients, strict=True)
        for layer, norms in enumerate(norms_by_layer)
    ]
    return {
        "context": [
            {"direction": direction, "tokens": tokens, "nats_per_token": value}
            for direction, values in zip(directions, nats, strict=True)
            for tokens, value in values.items()
        ],
        "gradient": [
            {"direction": direction, "layer": layer, "distance": distance, "norm": norm}
            for direction, layer, norms in layers
            for distance, norm in norms.items()
        ],
        "memory_length": [
            {"direction": direction, "layer": layer, "tokens": memory_length(norms)}
            for direction, layer, norms in layers
        ],
    }


def memory_lines(info: dict[str, Any]) -> Iterator[str]:
    """Yield figures and bars of each network: the score, and the gradient of each layer."""
    directions = list(dict.fromkeys(entry["direction"] for entry in info["context"]))
    for direction in directions:
        context = [entry for entry in info["context"] if entry["direction"] == direction]
        gradient = [entry for entry in info["gradient"] if entry["direction"] == direction]
        if len(directions) > 1:
            yield f"{direction}:"
        bits = [entry["nats_per_token"] / math.log(2) for entry in context]
        yield "tokens             " + "".join(f"{entry['tokens']:>8}" for entry in context)
        yield "context, bits/token" + "".join(f"{value:8.3f}" for value in bits)
        yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(bits))
        for layer in sorted({entry["layer"] for entry in gradient}):
            norms = [entry["norm"] for entry in gradient if entry["layer"] == layer]
            yield f"gradient, layer {layer:<3}" + "".join(f"{norm:8.1e}" for norm in norms)
            # Bars show the logarithm, because a gradient falls exponentially.
            logs = [math.log(max(norm, 1e-12)) for norm in norms]
            yield "                   " + "".join(f"{bar:>8}" for bar in sparkline(logs))
    for entry in info["memory_length"]:
        where = f"layer {entry['layer']}" + f", {entry['direction']}" * (len(directions) > 1)
        if entry["tokens"] is None:
            yield f"{where}: at no distance the gradient falls to 1 % of its start"
        else:
            yield f"{where}: after {entry['tokens']:.0f} tokens the gradient is 1 % of its start"
