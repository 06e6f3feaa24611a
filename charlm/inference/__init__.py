"""Speaks and judges, in NumPy and nothing heavier.

runtime     one step of the network, one stream or many
sampling    logits → the next token
generation  seed text → a stream of text; an ending → what leads up to it
infilling   a seed text and an ending → what goes between
scoring     text → sums that add up
lines       the same, line by line as they come
tokens      the same, token by token, with what was expected instead
bidirectional  a text, each token scored from both sides
memory      how the score depends on the length of the context
speaker     the half of a model that speaks
judge       the half of it that judges
model       what the commands and other programs hold in their hands
"""
