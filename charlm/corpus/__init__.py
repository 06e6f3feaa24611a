"""Text on disk → ids on disk → streams, batches and passages.

reading   checks and decodes; nothing is guessed, nothing is skipped
lots      reads lines as they come, and holds none of them
parts     says which bytes are a document, and which are encoded at once
ids       writes ids into memory-mapped files
items     takes lines and pairs for what they are
encoding  learns the tokenizer and makes the corpus, the held-out part apart
running   encodes a running text as far as it is read
layout    folds ids into the batches that are learnt from, and what is scored
streams   reads a running text in segments, side by side
"""
