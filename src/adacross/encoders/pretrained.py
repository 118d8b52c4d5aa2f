"""Where a saved encoder lies: a folder here, one that the package carries, or a repository on the hub."""

from pathlib import Path

from adacross.errors import UserError
from adacross.io.hub import SCHEME, download, is_hub_id

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
SHIPPED = Path(__file__).parent / "shipped"  # encoders that the package carries, a folder each


def shipped_names() -> list[str]:
    """Names of the encoders that the package carries."""
    return sorted(config.parent.name for config in SHIPPED.glob(f"*/{CONFIG_FILE}"))


def find_pretrained(folder_or_hub_id: Path | str) -> Path:
    """Return a saved encoder's folder: itself, a run's, a shipped one's, or the copy of a hub repository.

    A shipped encoder's name means that encoder, whatever lies here; `./builtin-small` is a folder. Only names
    such as `hf://owner/name` are asked of the hub: `runs/parts` typed in the wrong folder must not load an
    encoder that somebody has put there under that name.
    """
    if str(folder_or_hub_id) in (names := shipped_names()):
        return SHIPPED / folder_or_hub_id
    if str(folder_or_hub_id).startswith(SCHEME):
        return download(str(folder_or_hub_id), "model", [CONFIG_FILE, WEIGHTS_FILE])
    path = Path(folder_or_hub_id)
    if path.is_dir():
        run = (path / "config.yaml").is_file() and not (path / CONFIG_FILE).is_file()
        return path / "encoder" if run else path
    if path.exists():
        raise UserError(f"{path} is a file; expected the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}.")
    hint = f" For the encoder of that name on the Hugging Face hub write {SCHEME}{path}."
    raise UserError(
        f"{path} does not exist here. Expected a saved encoder's folder, {SCHEME}owner/name on the hub, or "
        f"one that adacross carries ({', '.join(names)}).{hint if is_hub_id(str(folder_or_hub_id)) else ''}"
    )
