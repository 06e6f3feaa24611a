"""`charlm eval`."""
