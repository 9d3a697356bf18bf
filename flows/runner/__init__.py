"""How a stage becomes a process and a Prefect run."""

from flows.runner.arguments import to_path

__all__ = ["to_path"]
