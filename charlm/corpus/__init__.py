"""Text on disk → ids on disk → streams and segments.

reading   checks and decodes; nothing is guessed, nothing is skipped
encoding  writes ids into memory-mapped files, the held-out part apart
layout    folds ids into the streams that are trained on and the segments that are scored
"""
