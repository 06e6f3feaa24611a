"""Text on disk → ids on disk → windows and batches.

folders       what file names and directories stand for
text_kinds    line ends and accents that surprise the owner of a text
columns       lines with columns, as pairs, labels and tags
symbols       the symbols in these columns
masks         what a mask matches in a line becomes one mark
reading       opens, checks and decodes texts; finds changes of their files
line_batches  reads lines as they arrive, for scoring and seeds
encoded_text  writes ids to memory-mapped temporary files
examples      reads and encodes lines and pairs
held_out      which part of a running text is held out
shards        cuts a running text into shards, which are encoded when they are first read
encoding      makes the corpus: tokenizer, training part, validation part
ngrams        counts the n-grams of the training part
windows       lays out the ids that are scored
batches       lays out the ids to train on: streams, and batches of examples
"""
