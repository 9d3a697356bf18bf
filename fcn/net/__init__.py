"""The net: layers, variants, masked batches, and the surgery that turns one net into the next."""

from fcn.net.bilinear import Upsample, bilinear_kernel
from fcn.net.masking import masked
from fcn.net.surgery import Transfer, named_weights

__all__ = ["Transfer", "Upsample", "bilinear_kernel", "masked", "named_weights"]
