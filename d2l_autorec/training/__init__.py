"""Training loops; all leave the same kind of result."""
