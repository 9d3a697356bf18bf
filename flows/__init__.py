"""One file per DVC stage: a Prefect flow and its command line."""

import os
import signal

# TensorFlow prints a dozen lines about the machine at every start; errors are still shown.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Prefect sends an event else, from where the Makefile does not set it
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# first: the imports of a stage take seconds, and dvc may go meanwhile
if "DVC_STAGE" in os.environ:
    from flows.runner import processes

    processes.end_with_parent(signal.SIGKILL)
    processes.refuse_alone()
