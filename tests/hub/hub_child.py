"""Runs commands as a user types them, in a process that has another hub: `hub_child.py COMMANDS`, as JSON.

huggingface_hub reads its hub's address when it is imported. A command may begin with HF_TOKEN=...
The last line says each command's exit code and errors.
"""

import io
import json
import os
import sys
from contextlib import redirect_stderr
from unittest.mock import patch

from adacross.cli import main

answers = []
for arguments in json.loads(sys.argv[1]):
    errors = io.StringIO()
    token = arguments.pop(0).removeprefix("HF_TOKEN=") if arguments[0].startswith("HF_TOKEN=") else "good"
    with redirect_stderr(errors), patch.dict(os.environ, HF_TOKEN=token):
        code = main(arguments)
    answers.append({"code": code, "errors": errors.getvalue()})
sys.stdout.flush()
sys.stdout.write("\n" + json.dumps(answers) + "\n")
