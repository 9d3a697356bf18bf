"""Checked pairs become records, and a first look at them."""

from fcn.records.look import MARK

__all__ = ["MARK"]
