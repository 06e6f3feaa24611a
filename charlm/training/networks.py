"""The torch module of each kind of model."""

import torch
from torch import nn

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.training.classifier import LabelNetwork, TagNetwork
from charlm.training.encoder_decoder import EncoderDecoder
from charlm.training.network import LanguageModel, SavedNetwork


def build_network(
    config: ModelConfig,
    vocab_size: int,
    *,
    dropout: float = 0.0,
    embedding: nn.Embedding | None = None,
) -> SavedNetwork:
    """Return a network of one direction with random weights.

    Args:
        config: Its size and task.
        vocab_size: V, the boundary not counted.
        dropout: In training.
        embedding: That of the network of the other direction; None makes a new one.
    """
    if config.task == "labels":
        return LabelNetwork(config, vocab_size, dropout=dropout)
    if config.task == "tags":
        return TagNetwork(config, vocab_size, dropout=dropout)
    if config.has_encoder:
        return EncoderDecoder(config, vocab_size, dropout=dropout)
    return LanguageModel(config, vocab_size, dropout=dropout, embedding=embedding)


def load_network(checkpoint: Checkpoint, device: torch.device) -> SavedNetwork:
    """Return a trained network of one direction, without dropout, on a device."""
    network = build_network(checkpoint.config, checkpoint.tokenizer.vocab_size).to(device)
    network.load_arrays(checkpoint.arrays)
    return network
