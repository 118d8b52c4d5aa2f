"""`python -m adacross`."""

from adacross.cli import main

raise SystemExit(main())
