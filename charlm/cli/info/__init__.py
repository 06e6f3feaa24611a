"""`charlm info`.

command      parses the command line
description  a model: its size, tokenizer, origin and score
memory       the context that a model uses
plot         pictures of a run's metrics and of a model's memory
"""
