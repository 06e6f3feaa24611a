"""`charlm train`."""
