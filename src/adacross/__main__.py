"""`python -m adacross`."""

import sys
from contextlib import suppress
from pathlib import Path

from adacross.cli import main

if __name__ == "__main__":
    with suppress(OSError):  # the working folder was deleted: `main` says so
        if Path(sys.path[0]) == Path.cwd():  # -m puts it there; `plugins.allow_working_folder` decides
            del sys.path[0]
    sys.exit(main())
