"""The command `fcn`: one short file for each of its commands."""

from fcn.cli.app import main
from fcn.cli.options import MADE, Place

__all__ = ["MADE", "Place", "main"]
