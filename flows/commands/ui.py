"""`fcn ui`: the pages of Prefect and MLflow."""


def ui(*, prefect_port: int = 0, mlflow_port: int = 0) -> int:
    """Serve the pages of Prefect and MLflow on the runs of this workspace, until Ctrl-C.

    Only this machine can open them.

    Example: `fcn ui --mlflow-port 5050`

    Args:
        prefect_port: Where Prefect's page is; 0: where it was last time, or at a free port. A
            server that runs already stays where it is.
        mlflow_port: Where MLflow's page is; 0: likewise.

    Returns:
        0: stopped; 1: one of the two ended by itself, and the other was stopped; 2: one could not
        be started.
    """
    from flows import ui

    return ui.serve(prefect_port, mlflow_port)
