"""Records become batches: the format of the records, the order of an epoch, the stream."""

from fcn.input.records import MARK, SCHEMA
from fcn.input.stream import Stream

__all__ = ["MARK", "SCHEMA", "Stream"]
