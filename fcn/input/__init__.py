"""Records become batches: the format of the records, the order of an epoch, the stream."""

from fcn.input.records import MARK, SCHEMA

__all__ = ["MARK", "SCHEMA"]
