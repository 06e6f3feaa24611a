"""`charlm generate`."""
