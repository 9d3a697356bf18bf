"""Boundaries, upper bounds, tables, and the stage `evaluate` from files to files."""

from fcn.evaluate.results import Evaluation

__all__ = ["Evaluation"]
