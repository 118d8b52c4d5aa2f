"""Names of devices to devices."""

from contextlib import suppress

import torch

from adacross.errors import UserError


def find_device(name: str | torch.device | None = "auto") -> torch.device:
    """Return the device called `name`: "cpu", "cuda", or one of several GPUs, such as "cuda:1".

    By default cuda where there is one and cpu elsewhere. Apple's mps is never chosen: it has no float64, in
    which BatchNorm's sums are computed.
    """
    cuda = torch.cuda.is_available()
    if name is None or name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    with suppress(RuntimeError, TypeError):
        device = torch.device(name)
        count = {"cpu": 1, "cuda": torch.cuda.device_count() if cuda else 0}.get(device.type, 0)
        if (device.index or 0) < count:
            return device
    raise UserError(
        f"device is {str(name)!r}, which cannot be used here; expected cpu, or cuda (cuda:1 and so on "
        "for one of several) where torch finds a GPU."
    )
