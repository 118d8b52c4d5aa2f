"""Options of a run small enough for a test."""

from typing import Any

TOY: dict[str, Any] = {
    "encoder": "pointnet",
    "encoder_args": {"width": 32},
    "image_encoder": "resnet18",
    "image_encoder_args": {"width": 8},
    "image_size": 32,
    "points": 48,
    "epochs": 2,
    "batch_size": 16,
    "device": "cpu",
}
TOY_M2AE: dict[str, Any] = {
    "groups": [24, 12, 6], "neighbors": [8, 4, 4], "dims": [16, 32, 48], "width": 8, "depths": [0, 0, 1],
    "heads": 4, "drop_path": 0.0,
}  # fmt: skip
TOY_MASKED: dict[str, Any] = TOY | {
    "method": "joint-mae",
    "encoder": "point-m2ae",
    "encoder_args": TOY_M2AE,
    "image_size": 64,
}
