"""Experiments: questions answered with tables and figures."""
