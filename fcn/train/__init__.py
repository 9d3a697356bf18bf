"""Losses, optimizers, the loop, checkpoints, and the stage `train` from files to files."""
