"""Display names of methods and encoders."""

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
MASKED = {  # methods that complete what is hidden; all others compare clouds with images
    "joint-mae": "masked point clouds and their depth maps",
    "point-m2ae": "masked point clouds",
}


def method_name(data: RunData) -> str:
    """Return the method's name as in its paper."""
    return METHODS.get(str(data.config["method"]), str(data.config["method"]))


def encoder_name(data: RunData) -> str:
    """Return the encoder's name as in its paper."""
    return ENCODERS.get(str(data.config["encoder"]), str(data.config["encoder"]))


def masks(data: RunData) -> bool:
    """Return whether the method completes masked shapes, and so has no space that images share."""
    return data.config["method"] in MASKED


def learns_from(data: RunData) -> str:
    """Return the input of the method."""
    method = str(data.config["method"])
    return MASKED.get(method, "point clouds against images" if method in METHODS else "point clouds")


def no_shared_space(data: RunData) -> str:
    """Explain why a masked method has no cross-modal retrieval."""
    return (
        f"{method_name(data)} reconstructs masked shapes. It has no joint space of images and clouds, "
        "so there is no cross-modal retrieval."
    )
