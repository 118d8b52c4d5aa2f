"""The rasterizer in NumPy: what `raster` must equal, and what draws where Numba is not used.

Triangles are cut into their rows, rows into samples, and all samples are tested together. Splats are drawn
one after the other, from near to far, each on the samples of its box.
"""

import numpy as np
from jaxtyping import Float, Float64, Int, Int64, UInt8

from adacross.data.rendering import splats
from adacross.data.rendering.shading import BACKGROUND, shade, to_bytes

AT_ONCE = 4_000_000  # samples of boxes that are held at a time, about 50 bytes each
NEAR = 1e-6  # depth of a corner, below which projecting says nothing
TOUCH = 1e-5  # samples: one this close is on a triangle, so that none slips through between two
FLAT, ENDLESS = 1e-7, 1e30  # volumes between which a triangle has a front
LAST_FACE = 0xFFFFFFFF  # faces are counted down from here, so that of two at one depth the first wins

Projection = Float64[np.ndarray, "3 4"]
Projections = Float64[np.ndarray, "V 3 4"]
Lights = Float64[np.ndarray, "V 3 3"]
Points = Float64[np.ndarray, "N 3"]
Faces = Int64[np.ndarray, "F 3"]
Colors = UInt8[np.ndarray, "F 3"]
Images = UInt8[np.ndarray, "V S S 3"]
Values = Float64[np.ndarray, " n"]
Numbers = Int[np.ndarray, " n"]
More = Int[np.ndarray, " m"]


@np.errstate(all="ignore")  # of corners without a place, whose faces are not drawn
def draw_faces(
    projections: Projections, lights: Lights, vertices: Points, faces: Faces, colors: Colors, images: Images
) -> None:
    """Draw triangles into `images`, from each camera."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    for projection, light, image in zip(projections, lights, images, strict=True):
        palette = np.full((len(faces) + 1, 3), float(BACKGROUND))  # its last color is for face -1: nothing
        palette[:-1] = shade(colors, normals, a, light)
        owner = nearest_faces(projection, vertices, faces, 2 * len(image))
        image[:] = to_bytes(_pixels(palette[owner]).mean(2))


def nearest_faces(
    projection: Projection, vertices: Points, faces: Faces, size: int
) -> Int64[np.ndarray, "size size"]:
    """Return the nearest face at each sample, -1 for none.

    Homogeneous rasterization (Olano and Greer, 1997): a triangle's edge functions are linear even where a
    corner lies behind the camera, so nothing is clipped.
    """
    corners = vertices @ projection[:, :3].T + projection[:, 3]
    with np.errstate(all="ignore"):  # of corners in the camera's plane, and triangles seen from their side
        places = corners[:, :2] / corners[:, 2:]
        low, high = places[faces].min(1) - TOUCH, places[faces].max(1) + TOUCH
        behind = ~(corners[faces, 2].min(1) > NEAR)
        low[behind], high[behind] = 0, size - 1
        low, high = low.clip(0, size), high.clip(-1, size - 1)
        a, b, c = corners[faces].transpose(1, 0, 2)
        edges = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
        volume = (a * edges[:, 0]).sum(1)
        depth = edges.sum(1) / volume[:, None]
        edges *= np.copysign(1.0, volume)[:, None, None]
        edges[:, :, 2] += TOUCH * np.abs(edges[:, :, :2]).sum(2)
    sound = (np.abs(volume) > FLAT) & (np.abs(volume) < ENDLESS)
    drawn = np.flatnonzero(sound & (np.ceil(low) <= high).all(1))
    found = np.zeros(size * size, dtype=np.int64)
    area = (high - low + 1)[drawn].prod(1)
    for some in np.split(drawn, np.flatnonzero(np.diff(area.cumsum() // AT_ONCE)) + 1):
        owner, row = _rows(some, low[some, 1], high[some, 1])
        left, right = _between(edges[owner], row, low[owner, 0], high[owner, 0])
        which, column = _rows(np.arange(len(owner)), left, right)
        face, row = owner[which], row[which]
        inverse = depth[face, 0] * column + depth[face, 1] * row + depth[face, 2]
        # as float32 its bits order like integers: one maximum finds the face
        bits = inverse.clip(0).astype(np.float32).view(np.int32).astype(np.int64)
        np.maximum.at(found, row * size + column, bits << 32 | (LAST_FACE - face))
    return np.where(found == 0, -1, LAST_FACE - (found & LAST_FACE)).reshape(size, size)


def _between(
    edges: Float64[np.ndarray, "n 3 3"], row: Numbers, low: Values, high: Values
) -> tuple[Values, Values]:
    """Return the columns of a row from and up to which all three edges are positive."""
    for edge in edges.transpose(1, 2, 0):
        slope = np.where(edge[0] == 0, 1e-30, edge[0])
        crossing = -(edge[1] * row + edge[2]) / slope
        low = np.where(slope > 0, np.maximum(low, crossing), low)
        high = np.where(slope < 0, np.minimum(high, crossing), high)
    return low, high


def _rows(owners: Numbers, low: Values, high: Values) -> tuple[More, More]:
    """Return owner and row of every row from `low` to `high`."""
    first = np.ceil(low).astype(np.int64)
    counts = (np.floor(high).astype(np.int64) - first + 1).clip(0)
    which = np.repeat(np.arange(len(owners)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owners[which], first[which] + step


def draw_splats(
    projections: Projections,
    lights: Lights,
    orders: Int64[np.ndarray, "V N"],
    ellipsoids: splats.Splats,
    colors: UInt8[np.ndarray, "N 3"],
    closed: bool,
    images: Images,
) -> None:
    """Draw splats into `images`, from each camera in its order from near to far.

    A splat counts at a sample, weighted by its distance from the center, if it lies at most its radius behind
    the nearest so far. `closed` fills gaps between splats.
    """
    for projection, light, order, image in zip(projections, lights, orders, images, strict=True):
        centers, covariances, normals = (part[order] for part in ellipsoids)
        lit = shade(colors[order], normals, centers, light)
        front, color = _blend(projection, centers, covariances, lit, 2 * len(image))
        depth = centers @ projection[2, :3] + projection[2, 3]
        near, far = float(depth.min()), float(depth.max())
        seen = np.isfinite(front)
        color *= np.interp(front, (near, max(far, near + 1e-6)), splats.FOG)[:, :, None]
        image[:] = _finish(_pixels(np.where(seen[:, :, None], color, 0)), _pixels(front), closed)


def _blend(
    projection: Projection, centers: Points, covariances: Float64[np.ndarray, "N 3 3"], lit: Points, size: int
) -> tuple[Float64[np.ndarray, "size size"], Float64[np.ndarray, "size size 3"]]:
    """Return the nearest depth at each sample, infinite for none, and the mean color of the splats there."""
    x, y, depth = (centers @ projection[:, :3].T + projection[:, 3]).T
    ahead = np.flatnonzero(depth > splats.NEAREST)
    x, y, depth, covariances = x[ahead], y[ahead], depth[ahead], covariances[ahead]
    x, y = x / depth, y / depth
    # derivatives of column, row and depth, and the covariance of these
    jacobian = np.tile(projection[:, :3], (len(ahead), 1, 1))
    jacobian[:, 0] = (jacobian[:, 0] - x[:, None] * jacobian[:, 2]) / depth[:, None]
    jacobian[:, 1] = (jacobian[:, 1] - y[:, None] * jacobian[:, 2]) / depth[:, None]
    screen = jacobian @ covariances @ jacobian.transpose(0, 2, 1)
    xx, yy, xy = screen[:, 0, 0] + splats.BLUR, screen[:, 1, 1] + splats.BLUR, screen[:, 0, 1]
    determinant = xx * yy - xy**2
    a, b, c = yy / determinant, -xy / determinant, xx / determinant  # q = a dx^2 + 2 b dx dy + c dy^2
    slope_x, slope_y = a * screen[:, 2, 0] + b * screen[:, 2, 1], b * screen[:, 2, 0] + c * screen[:, 2, 1]
    radius = np.sqrt(np.trace(covariances, axis1=1, axis2=2) / 2)

    reach = np.sqrt(np.stack([xx, yy], axis=1))
    places = np.stack([x, y], axis=1)
    firsts = np.ceil((places - reach).clip(0, size)).astype(int)
    ends = np.floor((places + reach).clip(-1, size - 1)).astype(int) + 1
    front, total = np.full((size, size), np.inf), np.full((size, size), 1e-30)
    sums = np.zeros((size, size, 3))
    for n, color in enumerate(lit[ahead]):  # from near to far
        (left, top), (right, bottom) = firsts[n], ends[n]
        box = np.s_[top:bottom, left:right]
        dx, dy = np.arange(left, right)[None] - x[n], np.arange(top, bottom)[:, None] - y[n]
        q = a[n] * dx**2 + 2 * b[n] * dx * dy + c[n] * dy**2
        place = depth[n] + slope_x[n] * dx + slope_y[n] * dy + radius[n] * q
        front[box] = np.minimum(front[box], np.where(q <= 1, place, np.inf))
        shown = (q <= 1) & (place <= front[box] + radius[n])
        weight = np.where(shown, (splats.RIM - q) ** 3, 0)
        total[box] += weight
        sums[box] += weight[:, :, None] * color
    return front, sums / total[:, :, None]


def _finish(
    samples: Float64[np.ndarray, "S S 4 3"], fronts: Float64[np.ndarray, "S S 4"], closed: bool
) -> UInt8[np.ndarray, "S S 3"]:
    """Return the image of samples' colors and depths: averaged, gaps closed, darker behind what is nearer."""
    size = len(samples)
    depth = fronts.max(2)  # infinite where a sample is open
    covered = np.isfinite(fronts).sum(2)
    color = samples.sum(2) / np.maximum(covered, 1)[:, :, None]
    for divisor, needed in splats.CLOSING if closed else ():
        step = max(1, round(size / divisor))
        around = _around(depth, step)
        nearer = around < depth - splats.GAP
        count = nearer.sum(0)
        hole = count >= needed
        colors = np.stack([_around(color[:, :, channel], step) for channel in range(3)], axis=-1)
        color[hole] = np.where(nearer[..., None], colors, 0).sum(0)[hole] / count[hole][:, None]
        depth[hole] = np.where(nearer, around, 0).sum(0)[hole] / count[hole]
        covered[hole] = 4
    own = np.where(np.isfinite(depth), depth, -np.inf)
    step = max(1, round(size / splats.CREVICE_STEP))
    gaps = own - _around(depth, step) - splats.CREVICE_SLOPE * 2 * step / size
    dim = np.exp(-splats.CREVICE * gaps.clip(0, splats.CREVICE_DEPTH).sum(0))
    share = covered[:, :, None] / 4
    return to_bytes(share * (color * dim[:, :, None]).clip(0, BACKGROUND) + (1 - share) * BACKGROUND)


def _around(values: Float[np.ndarray, "S S"], step: int) -> Float[np.ndarray, "9 S S"]:
    """Return what lies `step` pixels around each pixel, and itself; infinite outside of the image."""
    size = len(values)
    bordered = np.pad(values, step, constant_values=np.inf)
    places = (0, step, 2 * step)
    return np.stack([bordered[i : i + size, j : j + size] for i in places for j in places])


def _pixels(samples: Float[np.ndarray, "fine fine *rest"]) -> Float[np.ndarray, "S S 4 *rest"]:
    """Bring the four samples of each pixel together."""
    size = len(samples) // 2
    rest = samples.shape[2:]
    return samples.reshape(size, 2, size, 2, *rest).swapaxes(1, 2).reshape(size, size, 4, *rest)
