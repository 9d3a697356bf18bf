"""The command `fcn`: one short file for each of its commands."""
