"""A model folder as an HTTP service; needs the extra ``serve``."""
