"""How a stage becomes a process and a Prefect run."""
