"""The stages' work as Prefect tasks: around fcn/, one file per stage."""
