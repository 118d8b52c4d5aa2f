"""Options of a run small enough for a test."""

from typing import Any

TOY: dict[str, Any] = {
    "encoder": "pointnet",
    "encoder_args": {"width": 32},
    "image_depth": 18,
    "image_width": 8,
    "picture_size": 32,
    "points": 48,
    "epochs": 2,
    "batch_size": 16,
    "device": "cpu",
}
