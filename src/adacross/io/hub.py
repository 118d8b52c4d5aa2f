"""Folders to and from the Hugging Face hub; whatever goes wrong there becomes a sentence.

The address of the hub, the login and the cache are huggingface_hub's: `HF_ENDPOINT`, `hf auth login` or
`HF_TOKEN`, `HF_HOME`; with `HF_HUB_OFFLINE=1` only what was downloaded before is read.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from adacross.console import console
from adacross.errors import UserError
from adacross.io.files import FORBIDDEN, FULL

Kind = Literal["model", "dataset"]
SCHEME = "hf://"  # begins a name of the hub where a folder could be meant, too
_PART = r"\w([\w.-]*\w)?"
_ID = re.compile(rf"(?!.*(--|\.\.)){_PART}/{_PART}(?<!\.git)", re.ASCII)  # the hub's own rules
_LONGEST = 96
_ANSWERS = {  # what the hub's refusals mean
    400: "it does not accept this",
    401: "no such repository, or it needs a login",
    403: "this login may not do that",
    404: "no such repository, or a private one",
    429: "too many requests; wait a little",
}


def is_hub_id(name: str) -> bool:
    """Return whether a name could be one on the hub, `owner/name`."""
    return len(name) <= _LONGEST and _ID.fullmatch(name) is not None


def check_hub_id(name: str) -> str:
    """Return the name, without `hf://`, if it is one that the hub could have."""
    plain = name.removeprefix(SCHEME)
    if not is_hub_id(plain):
        raise UserError(
            f"{name!r} is not a name on the Hugging Face hub; expected owner/name: letters, digits, -, _, ., "
            f"at most {_LONGEST} characters; no -- or .., no - or . at an end."
        )
    return plain


def check_login() -> None:
    """Ask the hub who is logged in, before work is done that only a login makes useful."""
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise UserError(
            "not logged in to the Hugging Face hub. Run: hf auth login (or set HF_TOKEN to a token "
            "that may write)."
        )
    with console.status("asking the hub"), _explained("the Hugging Face hub did not accept the login"):
        HfApi().whoami()


def upload(
    folder: Path, name: str, kind: Kind, *, private: bool = False, replaces: Sequence[str] = ()
) -> str:
    """Upload a folder as one commit to a repository, made if need be, and return its address.

    Files there that match `replaces` are deleted if the folder does not have them. Raises UserError for a
    wrong name, no login or permission, no network, or a private upload to a public repository.
    """
    from huggingface_hub import HfApi

    name = check_hub_id(name)
    api = HfApi()
    with _explained(f"cannot upload to {name} on the Hugging Face hub"):
        # Without `private` the owner's default holds; a repository that exists is not changed.
        options: dict[str, Any] = {"private": True} if private else {}
        url = api.create_repo(name, repo_type=kind, exist_ok=True, **options)
        if private and not api.repo_info(name, repo_type=kind).private:
            raise UserError(
                f"{url} is there already and is public; nothing was uploaded. Make it private in its "
                "settings, or choose another name."
            )
        api.upload_folder(
            repo_id=name,
            repo_type=kind,
            folder_path=folder,
            commit_message="Upload with adacross",
            delete_patterns=list(replaces) or None,
        )
    return str(url)


def download(name: str, kind: Kind, patterns: Sequence[str]) -> Path:
    """Return the local copy of a repository's files of some patterns; what is there is not downloaded again.

    The console names the repository and the revision that it had.
    """
    name = check_hub_id(name)
    with _explained(f"the Hugging Face hub did not give {name}"):
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(name, repo_type=kind, allow_patterns=list(patterns)))
    console.print(f"{SCHEME}{name} of the Hugging Face hub, revision {folder.name}")
    return folder


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn whatever huggingface_hub raises into `what`, the reason, and what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # The errors are those of the HTTP library that the installed huggingface_hub is built on, which one
        # that is changed with its versions; none of them is imported here.
        raise UserError(f"{what} ({_reason(error)}). {_advice(error)}") from error


def _reason(error: BaseException) -> str:
    if answer := _ANSWERS.get(_status(error) or 0):
        said = getattr(error, "server_message", None)
        return f"{answer}: {_line(said)}" if said else answer
    first = _line(str(error)) or type(error).__name__
    return f"{first}: {_reason(error.__cause__)}" if error.__cause__ else first


def _line(message: str) -> str:
    """The first line of a message, without its end."""
    return " ".join(message.strip().partition("\n")[0].split())[:300].rstrip(".:")


def _advice(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in FULL:
        return "Free some space, or name another folder in HF_HOME."
    if (isinstance(error, OSError) and error.errno in FORBIDDEN) or "home directory" in str(error):
        return "Name a folder that can be written to in HF_HOME."
    if _status(error) in (401, 403):
        return "Check the name, and the login: hf auth login, with a token that may do this."
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set: only what was downloaded before can be read."
    return "Check the name, or the network."


def _status(error: BaseException) -> int | None:
    """The hub's answer as a number, where there was one."""
    return getattr(getattr(error, "response", None), "status_code", None)
