"""Light: what color a surface has for a camera."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from adacross.data.rendering.camera import Camera

BACKGROUND = 255
GREY = 215
AMBIENT, HEADLIGHT, KEY = 0.28, 0.30, 0.47
KEY_DIRECTION = np.array([-0.52, 0.74, 0.43])  # from above the camera's left shoulder


def shade(
    colors: UInt8[np.ndarray, "F 3"] | None,
    normals: Float[np.ndarray, "F 3"],
    positions: Float[np.ndarray, "F 3"],
    camera: Camera,
) -> Float[np.ndarray, "F 3"]:
    """Return the RGB `(F, 3)`, 0..255, of surface patches as a camera sees them, light gray without colors.

    Lambert with ambient light, a headlight and a key light that both travel with the camera, so that turning
    the object and turning the camera are the same. Normals are first turned towards the camera: inconsistent
    winding is common in found meshes, and no patch may turn black for it.
    """
    head, key = camera.rotation[2], camera.rotation.T @ KEY_DIRECTION
    directions = np.stack([camera.position, head, key]).astype(normals.dtype)
    eye, head_cosine, key_cosine = directions @ normals.T
    side = np.copysign(np.ones_like(eye), eye - np.einsum("fd,fd->f", normals, positions))
    light = AMBIENT + HEADLIGHT * (side * head_cosine).clip(0) + KEY * (side * key_cosine).clip(0)
    if colors is None:
        return np.broadcast_to((GREY * light)[:, None], normals.shape)
    return (colors * light[:, None]).clip(0, 255)


def mean_of(samples: Sequence[Float[np.ndarray, "*shape"]]) -> Float[np.ndarray, "*shape"]:
    """Average a few arrays one by one, which is several times faster than numpy's mean over a short axis."""
    total = samples[0].copy()
    for sample in samples[1:]:
        total += sample
    return total / len(samples)


def to_bytes(picture: Shaped[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Round 0..255 to uint8."""
    return (picture + 0.5).astype(np.uint8)
