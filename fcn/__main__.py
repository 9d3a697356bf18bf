"""`python -m fcn`: the command `fcn`, of the folder that Python finds first."""

import sys

from fcn.cli import main

sys.exit(main())
