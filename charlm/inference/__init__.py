"""Speaks and judges, in NumPy and nothing heavier.

runtime     one step of the network, one stream or many
sampling    logits → the next token
generation  seed text → a stream of text
scoring     text → sums that add up
memory      how the score depends on the length of the context
model       what the commands and other programs hold in their hands
"""
