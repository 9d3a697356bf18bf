"""The page that compares the staged models, its charts and its examples."""

from tasks.report.write import write_report

__all__ = ["write_report"]
