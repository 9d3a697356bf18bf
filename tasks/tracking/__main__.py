"""The forwarder as a process, see `forwarder`: `python -m tasks.tracking LOCK`."""

import sys

from tasks.tracking import delivery

delivery.main(int(sys.argv[1]))
