"""`python -m adacross`."""

import sys
from pathlib import Path

from adacross.cli import main

if __name__ == "__main__":
    if Path(sys.path[0]) == Path.cwd():  # which -m puts there; `plugins.allow_working_folder` decides
        del sys.path[0]
    sys.exit(main())
