"""Methods and encoders as their papers write them, and what a method learns from."""

from adacross.report.inputs import RunData

METHODS = {
    "adacrossnet": "AdaCrossNet",
    "crosspoint": "CrossPoint",
    "crossnet": "CrossNet",
    "joint-mae": "Joint-MAE",
    "point-m2ae": "Point-M2AE",
}
ENCODERS = {
    "dgcnn": "DGCNN",
    "dgcnn-partseg": "DGCNN (part segmentation)",
    "dgcnn-semseg": "DGCNN (semantic segmentation)",
    "point-m2ae": "Point-M2AE",
    "pointnet": "PointNet",
    "pointnet-partseg": "PointNet (part segmentation)",
}
MASKED = {  # methods that complete what is hidden; all others compare clouds with pictures
    "joint-mae": "point clouds and depth maps of them, partly hidden and completed",
    "point-m2ae": "point clouds, partly hidden and completed",
}


def method_name(data: RunData) -> str:
    """Return the method as its paper writes it."""
    return METHODS.get(str(data.config["method"]), str(data.config["method"]))


def encoder_name(data: RunData) -> str:
    """Return the encoder as its paper writes it."""
    return ENCODERS.get(str(data.config["encoder"]), str(data.config["encoder"]))


def masks(data: RunData) -> bool:
    """Return whether the method completes masked shapes, and so has no space that pictures share."""
    return data.config["method"] in MASKED


def learns_from(data: RunData) -> str:
    """Return what the method was given."""
    method = str(data.config["method"])
    return MASKED.get(method, "point clouds against pictures" if method in METHODS else "point clouds")


def no_shared_space(data: RunData) -> str:
    """Return why a method that masks compares no pictures with shapes."""
    return (
        f"{method_name(data)} completes masked shapes. It has no shared space of pictures and clouds, "
        "so that neither can find the other."
    )
