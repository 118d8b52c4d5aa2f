"""Light: what color a surface has for a camera."""

import numpy as np
from jaxtyping import Float, Float64, Shaped, UInt8

from adacross.data.rendering.camera import Camera

BACKGROUND = 255
GREY = 215
AMBIENT, HEADLIGHT, KEY = 0.28, 0.30, 0.47
KEY_DIRECTION = np.array([-0.52, 0.74, 0.43])  # from above the camera's left shoulder


def lights_of(camera: Camera) -> Float64[np.ndarray, "3 3"]:
    """Return the camera's position, and the directions of the headlight and of the key light."""
    return np.stack([camera.position, camera.rotation[2], camera.rotation.T @ KEY_DIRECTION])


def shade(
    colors: UInt8[np.ndarray, "F 3"],
    normals: Float[np.ndarray, "F 3"],
    positions: Float[np.ndarray, "F 3"],
    lights: Float64[np.ndarray, "3 3"],
) -> Float[np.ndarray, "F 3"]:
    """Return the RGB `(F, 3)`, 0..255, of surface patches as a camera with these lights sees them.

    Lambert with ambient light, a headlight and a key light that both travel with the camera, so that turning
    the object and turning the camera are the same. Normals, of any length, are first turned towards the
    camera: inconsistent winding is common in found meshes, and no patch may turn black for it. A normal of 0
    faces the camera.
    """
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 0, normals / np.where(length > 0, length, 1), lights[1])
    eye, head_cosine, key_cosine = lights @ normals.T
    side = np.copysign(1.0, eye - np.einsum("fd,fd->f", normals, positions))
    light = AMBIENT + HEADLIGHT * (side * head_cosine).clip(0) + KEY * (side * key_cosine).clip(0)
    return (colors * light[:, None]).clip(0, BACKGROUND)


def to_bytes(picture: Shaped[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Round 0..255 to uint8."""
    return (picture + 0.5).astype(np.uint8)
