"""Runs commands as a user types them, in a process that has another hub: `hub_child.py COMMANDS`, as JSON.

huggingface_hub reads its hub's address when it is imported. The last line says each command's exit code and
errors.
"""

import io
import json
import sys
from contextlib import redirect_stderr

from adacross.cli import main

answers = []
for arguments in json.loads(sys.argv[1]):
    errors = io.StringIO()
    with redirect_stderr(errors):
        code = main(arguments)
    answers.append({"code": code, "errors": errors.getvalue()})
sys.stdout.flush()
sys.stdout.write("\n" + json.dumps(answers) + "\n")
