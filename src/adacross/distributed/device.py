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
    usable = device is not None and (
        (device.type == "cpu" and not device.index)
        or (device.type == "cuda" and cuda and (device.index or 0) < torch.cuda.device_count())
    )
    if device is None or not usable:
        raise UserError(
            f"device is {str(name)!r}, which cannot be used here; expected cpu, or cuda (cuda:1 and so on "
            "for one of several) where torch finds a GPU."
        )
    return device
