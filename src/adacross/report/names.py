"""Display names of methods, encoders and protocols."""

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
TASKS = {  # in the order of the page
    "linear": "Linear probe",
    "retrieval": "Retrieval",
    "few-shot": "Few-shot",
    "fine-tune": "Fine-tuning",
    "part-seg": "Part segmentation",
    "sem-seg": "Semantic segmentation",
    "robustness": "Robustness",
    "images": "Few-shot images",
}


def method_name(method: str) -> str:
    """Return a method's name as in its paper."""
    return METHODS.get(method, method)


def encoder_name(encoder: str) -> str:
    """Return an encoder's name as in its paper."""
    return ENCODERS.get(encoder, encoder)


def learns_from(method: str) -> str:
    """Return the input of a method."""
    return MASKED.get(method, "point clouds against images" if method in METHODS else "point clouds")


def result_name(task: str, name: str) -> str:
    """Return the title of a result by its protocol and the name of its file.

    Example:
        >>> result_name("linear", "linear-as-crosspoint"), result_name("few-shot", "few-shot-ways-5-10")
        ('Linear probe, as CrossPoint', 'Few-shot, ways 5 10')
    """
    words = name.removeprefix(task).strip("-").replace("-", " ")
    for method, title in METHODS.items():
        words = words.replace(f"as {method.replace('-', ' ')}", f"as {title}")
    title = TASKS.get(task, task)
    return f"{title}, {words}" if words else title
