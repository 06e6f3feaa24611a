"""Files: written whole or not at all, one writer at a time, recognised when given by mistake."""
