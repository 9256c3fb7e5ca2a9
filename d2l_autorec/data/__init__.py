"""Ratings on their way to a matrix: sources, formats, splits, matrices."""
