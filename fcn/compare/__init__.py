"""Evaluations read back, the bootstrap over their images, statistics over seeds."""

from fcn.compare.bootstrap import Comparison, Counts, Difference

__all__ = ["Comparison", "Counts", "Difference"]
