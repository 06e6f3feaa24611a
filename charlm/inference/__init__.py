"""Speaks and judges, in NumPy and nothing heavier.

runtime     one step of the network, one stream or many
sampling    logits → the next token
generation  seed text → a stream of text; an ending → what leads up to it
infilling   a seed text and an ending → what goes between
scoring     text → sums that add up
bidirectional  a text, each token scored from both sides
memory      how the score depends on the length of the context
model       what the commands and other programs hold in their hands
"""
