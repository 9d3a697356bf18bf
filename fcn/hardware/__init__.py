"""Devices, processes that share a training, the processor, interrupts."""

from fcn.hardware.distribution import ONE, Share

__all__ = ["ONE", "Share"]
