"""Boundaries, upper bounds, tables, and the stage `evaluate` from files to files."""
