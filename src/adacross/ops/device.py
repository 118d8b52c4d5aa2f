"""Names of devices to devices."""

import torch

from adacross.errors import UserError


def find_device(name: str | torch.device | None = "auto") -> torch.device:
    """Return the device called `name`.

    Args:
        name: "cpu", "cuda", one of several GPUs such as "cuda:1", or "auto" (or None) for cuda where there is
            one and cpu elsewhere. Apple's mps is never chosen: it has no float64, in which BatchNorm's sums
            are computed.

    Raises:
        UserError: another name, or a GPU that is not there.
    """
    cuda = torch.cuda.is_available()
    if name is None or name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise UserError(f"device is {str(name)!r}; expected cpu, cuda (or cuda:1 and so on), or auto.")
    if device.type == "cuda" and not cuda:
        raise UserError(f"device is {name}, but torch finds no GPU. Give --device cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device is {name}, but torch finds {torch.cuda.device_count()} GPUs, which count from cuda:0."
        )
    return device
