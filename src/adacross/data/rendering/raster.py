"""The rasterizer: triangles and splats, compiled.

A picture is cut into tiles of 4 x 4 samples, 2 x 2 a pixel, that lie side by side in memory. A triangle's
edges and its inverse depth are linear over the picture, a splat's ellipse is quadratic: both are evaluated
for the 16 samples of a tile at a time, which becomes a handful of vector instructions without a branch. Views
do not depend on each other, so each may have a thread of its own. `plain` says the same in NumPy.
"""

import numpy as np

from adacross.data.rendering import splats
from adacross.data.rendering.plain import ENDLESS, FLAT, NEAR, TOUCH
from adacross.data.rendering.shading import AMBIENT, BACKGROUND, HEADLIGHT, KEY, KEY_DIRECTION
from adacross.ops.compiler import function, kernel

_COLUMNS = np.tile(np.arange(4), 4).astype(np.float32)  # of a tile's 16 samples
_ROWS = np.repeat(np.arange(4), 4).astype(np.float32)
_LOOKS = 6  # at what splats can no longer be seen
_CORNERS = np.array([0, 1, 4, 5])  # a pixel's samples, from its first
_ONE, _FULL, _HALF = np.float32(1), np.float32(BACKGROUND), np.float32(0.5)
_NEAR_FOG, _FAR_FOG = splats.FOG
_FACING = float(AMBIENT + HEADLIGHT + KEY * KEY_DIRECTION[2])  # the light on what faces the camera


@kernel
def draw_faces(
    first: int,
    last: int,
    projections: np.ndarray,
    lights: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    images: np.ndarray,
) -> None:
    """Draw triangles into `images (V, S, S, 3)`: at a sample the nearest, of two at one depth the first."""
    tiles = (images.shape[1] + 1) // 2
    depth = np.empty((tiles, tiles, 16), np.float32)  # inverse
    owner = np.empty((tiles, tiles, 16), np.int32)
    corners = np.empty((len(vertices), 3))  # column, row, depth
    for v in range(first, last):
        p = projections[v]
        for i in range(len(vertices)):
            x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
            w = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            corners[i, 0] = (p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]) / w
            corners[i, 1] = (p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]) / w
            corners[i, 2] = w
        _find_faces(corners, faces, depth, owner)
        _shade_faces(owner, lights[v], vertices, faces, colors, images[v])


@function
def _find_faces(  # noqa: PLR0912, PLR0915  a kernel is one piece
    corners: np.ndarray, faces: np.ndarray, depth: np.ndarray, owner: np.ndarray
) -> None:
    """Write the nearest face of each sample into `owner (T, T, 16)`, its inverse depth into `depth`.

    Homogeneous rasterization (Olano and Greer, 1997): a triangle's edge functions are cross products of its
    corners, and linear even where one lies behind the camera, so nothing is clipped.
    """
    limit = 4.0 * len(depth) - 1
    for row in range(len(depth)):
        for column in range(len(depth)):
            for s in range(16):
                depth[row, column, s], owner[row, column, s] = 0, -1
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        wa, wb, wc = corners[i, 2], corners[j, 2], corners[k, 2]
        left = min(corners[i, 0], corners[j, 0], corners[k, 0]) - TOUCH
        right = max(corners[i, 0], corners[j, 0], corners[k, 0]) + TOUCH
        top = min(corners[i, 1], corners[j, 1], corners[k, 1]) - TOUCH
        bottom = max(corners[i, 1], corners[j, 1], corners[k, 1]) + TOUCH
        if not min(wa, wb, wc) > NEAR:
            left, right, top, bottom = 0.0, limit, 0.0, limit
        left, top = np.ceil(max(left, 0.0)), np.ceil(max(top, 0.0))
        right, bottom = min(right, limit), min(bottom, limit)
        if (left > right) | (top > bottom):  # between two rows or columns of samples, or outside
            continue
        xa, ya = corners[i, 0] * wa, corners[i, 1] * wa
        xb, yb = corners[j, 0] * wb, corners[j, 1] * wb
        xc, yc = corners[k, 0] * wc, corners[k, 1] * wc
        # an edge is a x + b y + c, of one sign inside
        a0, b0, c0 = yb * wc - wb * yc, wb * xc - xb * wc, xb * yc - yb * xc
        a1, b1, c1 = yc * wa - wc * ya, wc * xa - xc * wa, xc * ya - yc * xa
        a2, b2, c2 = ya * wb - wa * yb, wa * xb - xa * wb, xa * yb - ya * xb
        volume = xa * a0 + ya * b0 + wa * c0
        if not FLAT < abs(volume) < ENDLESS:  # seen from its side, or not finite
            continue
        az, bz, cz = (a0 + a1 + a2) / volume, (b0 + b1 + b2) / volume, (c0 + c1 + c2) / volume
        sign = np.copysign(1.0, volume)
        a0, b0, a1, b1, a2, b2 = sign * a0, sign * b0, sign * a1, sign * b1, sign * a2, sign * b2
        c0 = sign * c0 + TOUCH * (abs(a0) + abs(b0))
        c1 = sign * c1 + TOUCH * (abs(a1) + abs(b1))
        c2 = sign * c2 + TOUCH * (abs(a2) + abs(b2))
        e0x, e1x, e2x, zx = np.float32(a0), np.float32(a1), np.float32(a2), np.float32(az)
        e0y, e1y, e2y, zy = np.float32(b0), np.float32(b1), np.float32(b2), np.float32(bz)
        begin, end = int(left) >> 2, int(right) >> 2
        wide = end - begin > 1
        if wide:
            slope0, cut0 = _crossing(a0, b0, c0)
            slope1, cut1 = _crossing(a1, b1, c1)
            slope2, cut2 = _crossing(a2, b2, c2)
        for row in range(int(top) >> 2, (int(bottom) >> 2) + 1):
            y = 4.0 * row
            if wide:
                low, high = left - 3, right
                x0, x1, x2 = slope0 * y + cut0, slope1 * y + cut1, slope2 * y + cut2
                low = max(low, x0 if a0 >= 0 else low, x1 if a1 >= 0 else low, x2 if a2 >= 0 else low)
                high = min(high, high if a0 >= 0 else x0, high if a1 >= 0 else x1, high if a2 >= 0 else x2)
                if low > high:
                    continue
                begin, end = int(np.ceil(low / 4)), int(np.floor(high / 4))
            for column in range(begin, end + 1):
                x = 4.0 * column
                e0, e1 = np.float32(a0 * x + b0 * y + c0), np.float32(a1 * x + b1 * y + c1)
                e2, z = np.float32(a2 * x + b2 * y + c2), np.float32(az * x + bz * y + cz)
                for s in range(16):
                    dx, dy = _COLUMNS[s], _ROWS[s]
                    value = z + zx * dx + zy * dy
                    seen = (e0 + e0x * dx + e0y * dy >= 0) & (e1 + e1x * dx + e1y * dy >= 0)
                    seen &= (e2 + e2x * dx + e2y * dy >= 0) & (value > depth[row, column, s])
                    depth[row, column, s] = value if seen else depth[row, column, s]
                    owner[row, column, s] = np.int32(f) if seen else owner[row, column, s]


@function
def _crossing(a: float, b: float, c: float) -> tuple[float, float]:
    """Return slope and offset of the column, over tiles' first rows, where an edge begins to meet tiles."""
    c += 3 * max(a, 0.0) + 3 * max(b, 0.0)  # the tile's sample that is farthest inside
    a = a or 1e-30
    return -b / a, -c / a


@function
def _shade_faces(
    owner: np.ndarray,
    lights: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    image: np.ndarray,
) -> None:
    """Average the colors of each pixel's samples; faces are lit when they are first met."""
    light = np.empty(len(faces), np.float32)
    for f in range(len(faces)):
        light[f] = -1
    for row in range(len(image)):
        for column in range(len(image)):
            samples = owner[row >> 1, column >> 1]
            corner = 8 * (row & 1) + 2 * (column & 1)
            f = samples[corner]
            same = (f == samples[corner + 1]) & (f == samples[corner + 4]) & (f == samples[corner + 5])
            if same and f < 0:
                continue
            count = 1 if same else 4
            red = green = blue = count * _HALF
            for s in range(count):
                f = samples[corner + _CORNERS[s]]
                if f < 0:
                    red, green, blue = red + _FULL, green + _FULL, blue + _FULL
                    continue
                if light[f] < 0:
                    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
                    x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
                    ax, ay, az = vertices[j, 0] - x, vertices[j, 1] - y, vertices[j, 2] - z
                    bx, by, bz = vertices[k, 0] - x, vertices[k, 1] - y, vertices[k, 2] - z
                    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                    light[f] = _light(nx, ny, nz, x, y, z, lights)
                red += min(light[f] * colors[f, 0], _FULL)
                green += min(light[f] * colors[f, 1], _FULL)
                blue += min(light[f] * colors[f, 2], _FULL)
            image[row, column, 0] = np.uint8(red / count)
            image[row, column, 1] = np.uint8(green / count)
            image[row, column, 2] = np.uint8(blue / count)


@function
def _light(nx: float, ny: float, nz: float, x: float, y: float, z: float, lights: np.ndarray) -> np.float32:
    """Return the light on a surface with this normal, of any length, at a place; as `shading.shade`."""
    towards = nx * (lights[0, 0] - x) + ny * (lights[0, 1] - y) + nz * (lights[0, 2] - z)
    head = nx * lights[1, 0] + ny * lights[1, 1] + nz * lights[1, 2]
    key = nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    if length == 0:  # it faces the camera
        return np.float32(_FACING)
    side = np.copysign(1.0, towards) / length
    return np.float32(AMBIENT + HEADLIGHT * max(side * head, 0.0) + KEY * max(side * key, 0.0))


@kernel
def draw_splats(
    first: int,
    last: int,
    projections: np.ndarray,
    lights: np.ndarray,
    orders: np.ndarray,
    centers: np.ndarray,
    covariances: np.ndarray,
    normals: np.ndarray,
    colors: np.ndarray,
    closed: bool,
    images: np.ndarray,
) -> None:
    """Draw splats into `images (V, S, S, 3)`, each view in its order from near to far, as `plain` does."""
    tiles = (images.shape[1] + 1) // 2
    held = np.empty((tiles, tiles, 5, 16), np.float32)
    for v in range(first, last):
        near, far = _blend_splats(
            projections[v], lights[v], orders[v], centers, covariances, normals, colors, held
        )
        _shade_splats(held, near, far, closed, images[v])


@function
def _blend_splats(  # noqa: PLR0912, PLR0915
    p: np.ndarray,
    lights: np.ndarray,
    order: np.ndarray,
    centers: np.ndarray,
    covariances: np.ndarray,
    normals: np.ndarray,
    colors: np.ndarray,
    held: np.ndarray,
) -> tuple[float, float]:
    """Fill in `held (T, T, 5, 16)` and return the nearest and the farthest depth.

    For each of a tile's samples it holds the nearest depth, and the sums of weights and of weighted colors.
    """
    limit = 4.0 * len(held) - 1
    near, far = np.inf, 0.0
    hidden = np.empty((len(held), len(held)), np.float32)  # depth of a tile's farthest sample, now and then
    for row in range(len(held)):
        for column in range(len(held)):
            hidden[row, column] = np.inf
            for s in range(16):
                held[row, column, 0, s] = np.inf
                for n in range(1, 5):
                    held[row, column, n, s] = 0
    for turn in range(len(order)):
        n = order[turn]
        if turn % max(len(order) // _LOOKS, 1) == 0 and turn > 0:
            for row in range(len(held)):
                for column in range(len(held)):
                    deepest = held[row, column, 0, 0]
                    for s in range(1, 16):
                        deepest = max(deepest, held[row, column, 0, s])
                    hidden[row, column] = deepest
        cx, cy, cz = centers[n, 0], centers[n, 1], centers[n, 2]
        w = p[2, 0] * cx + p[2, 1] * cy + p[2, 2] * cz + p[2, 3]
        near, far = min(near, w), max(far, w)
        if not w > splats.NEAREST:
            continue
        x = (p[0, 0] * cx + p[0, 1] * cy + p[0, 2] * cz + p[0, 3]) / w
        y = (p[1, 0] * cx + p[1, 1] * cy + p[1, 2] * cz + p[1, 3]) / w
        # derivatives of column and row, and the covariance times them
        ux, uy, uz = (p[0, 0] - x * p[2, 0]) / w, (p[0, 1] - x * p[2, 1]) / w, (p[0, 2] - x * p[2, 2]) / w
        vx, vy, vz = (p[1, 0] - y * p[2, 0]) / w, (p[1, 1] - y * p[2, 1]) / w, (p[1, 2] - y * p[2, 2]) / w
        sxx, sxy, sxz = covariances[n, 0, 0], covariances[n, 0, 1], covariances[n, 0, 2]
        syy, syz, szz = covariances[n, 1, 1], covariances[n, 1, 2], covariances[n, 2, 2]
        gx, hx = sxx * ux + sxy * uy + sxz * uz, sxx * vx + sxy * vy + sxz * vz
        gy, hy = sxy * ux + syy * uy + syz * uz, sxy * vx + syy * vy + syz * vz
        gz, hz = sxz * ux + syz * uy + szz * uz, sxz * vx + syz * vy + szz * vz
        xx, yy = ux * gx + uy * gy + uz * gz + splats.BLUR, vx * hx + vy * hy + vz * hz + splats.BLUR
        xy = ux * hx + uy * hy + uz * hz
        tall = np.sqrt(yy)
        top, bottom = max(y - tall, 0.0), min(y + tall, limit)
        if not ((top <= bottom) & (x + np.sqrt(xx) >= 0) & (x - np.sqrt(xx) <= limit)):
            continue
        determinant = xx * yy - xy * xy
        a, b, c = yy / determinant, -xy / determinant, xx / determinant  # q = a dx^2 + 2 b dx dy + c dy^2
        xz, yz = p[2, 0] * gx + p[2, 1] * gy + p[2, 2] * gz, p[2, 0] * hx + p[2, 1] * hy + p[2, 2] * hz
        zx, zy = np.float32(a * xz + b * yz), np.float32(b * xz + c * yz)
        qxx, qxy, qyy = np.float32(a), np.float32(2 * b), np.float32(c)
        radius = np.float32(np.sqrt((sxx + syy + szz) / 2))
        slack = radius - 3 * min(zx, np.float32(0)) - 3 * min(zy, np.float32(0))
        light = _light(normals[n, 0], normals[n, 1], normals[n, 2], cx, cy, cz, lights)
        red, green = min(light * colors[n, 0], _FULL), min(light * colors[n, 1], _FULL)
        blue = min(light * colors[n, 2], _FULL)
        for row in range(int(top) >> 2, (int(bottom) >> 2) + 1):
            # where the ellipse lies in the tile's rows: at its widest there, shifted as far as it leans
            above, below = max(4.0 * row - y, -tall), min(4.0 * row + 3 - y, tall)
            across = min(max(0.0, above), below)
            half = np.sqrt(max(0.0, 1 - across * across / yy) / a)
            lean0, lean1 = xy / yy * above, xy / yy * below
            low, high = max(x + min(lean0, lean1) - half, 0.0), min(x + max(lean0, lean1) + half, limit)
            dy = np.float32(4.0 * row - y)
            for column in range(int(low) >> 2, (int(max(high, -1.0)) >> 2) + 1):
                dx = np.float32(4.0 * column - x)
                z = np.float32(w) + zx * dx + zy * dy
                if z - slack > hidden[row, column]:
                    continue
                for s in range(16):
                    sx, sy = dx + _COLUMNS[s], dy + _ROWS[s]
                    q = qxx * sx * sx + (qxy * sx + qyy * sy) * sy
                    value = z + zx * _COLUMNS[s] + zy * _ROWS[s] + radius * q
                    inside = q <= _ONE
                    front = held[row, column, 0, s]
                    front = min(front, value) if inside else front
                    held[row, column, 0, s] = front
                    rim = np.float32(splats.RIM) - q
                    weight = rim * rim * rim if inside & (value <= front + radius) else np.float32(0)
                    held[row, column, 1, s] += weight
                    held[row, column, 2, s] += weight * red
                    held[row, column, 3, s] += weight * green
                    held[row, column, 4, s] += weight * blue
    return near, far


@function
def _shade_splats(held: np.ndarray, near: float, far: float, closed: bool, image: np.ndarray) -> None:
    """Average the samples of each pixel, close gaps, and darken what is far or behind."""
    size = len(image)
    border = max(1, round(size / splats.CLOSING[0][0]), round(size / splats.CREVICE_STEP))
    width = size + 2 * border
    pixels = np.zeros((width * width, 4), np.float32)  # red, green, blue, share of covered samples
    depth = np.full(width * width, np.float32(np.inf))  # of the farthest sample; infinite if one is open
    box = np.array([size, -1, size, -1])  # first and last row and column of what is seen
    fade = np.float32((_FAR_FOG - _NEAR_FOG) / max(far - near, 1e-6))
    nearest, farthest, bright = np.float32(near), np.float32(far), np.float32(_NEAR_FOG)
    for row in range(size):
        for column in range(size):
            deepest = count = red = green = blue = np.float32(0)
            corner = 8 * (row & 1) + 2 * (column & 1)
            for i in range(4):
                s = corner + _CORNERS[i]
                front = held[row >> 1, column >> 1, 0, s]
                deepest = max(deepest, front)
                if front < np.inf:
                    place = min(max(front, nearest), farthest)
                    fog = (bright + fade * (place - nearest)) / held[row >> 1, column >> 1, 1, s]
                    count += _ONE
                    red += fog * held[row >> 1, column >> 1, 2, s]
                    green += fog * held[row >> 1, column >> 1, 3, s]
                    blue += fog * held[row >> 1, column >> 1, 4, s]
            if count > 0:
                n = (border + row) * width + border + column
                pixels[n, 0], pixels[n, 1], pixels[n, 2] = red / count, green / count, blue / count
                pixels[n, 3], depth[n] = count / 4, deepest
                box[0], box[1] = min(box[0], row), row
                box[2], box[3] = min(box[2], column), max(box[3], column)
    around = np.empty(8, np.int64)
    for part in range(len(splats.CLOSING) if closed else 0):
        _surround(around, max(1, round(size / splats.CLOSING[part][0])), width)
        _close(pixels, depth, around, border, box, splats.CLOSING[part][1])
    step = max(1, round(size / splats.CREVICE_STEP))
    _surround(around, step, width)
    least, most = np.float32(splats.CREVICE_SLOPE * 2 * step / size), np.float32(splats.CREVICE_DEPTH)
    strength = np.float32(-splats.CREVICE)
    for row in range(box[0], box[1] + 1):
        for column in range(box[2], box[3] + 1):
            n = (border + row) * width + border + column
            share = pixels[n, 3]
            if share == 0:
                continue
            behind = np.float32(0)
            if depth[n] < np.inf:
                for i in range(8):
                    gap = depth[n] - depth[n + around[i]] - least
                    behind += min(max(gap, np.float32(0)), most)
            dim = np.exp(strength * behind) if behind > 0 else _ONE
            for channel in range(3):
                shown = min(pixels[n, channel] * dim, _FULL)
                image[row, column, channel] = np.uint8(share * shown + (_ONE - share) * _FULL + _HALF)


@function
def _surround(around: np.ndarray, step: int, width: int) -> None:
    """Write the way to the 8 places `step` pixels around a pixel."""
    for i in range(8):
        place = i + (i > 3)
        around[i] = step * ((place // 3 - 1) * width + place % 3 - 1)


@function
def _close(
    pixels: np.ndarray, depth: np.ndarray, around: np.ndarray, border: int, box: np.ndarray, needed: int
) -> None:
    """Fill pixels that lie behind `needed` of the places around with the mean of these, in place."""
    width = round(np.sqrt(len(depth)))
    most = (box[1] - box[0] + 1) * (box[3] - box[2] + 1)
    holes, filled = np.empty(most, np.int64), np.empty((most, 5), np.float32)
    found = 0
    for row in range(box[0], box[1] + 1):
        for column in range(box[2], box[3] + 1):
            n = (border + row) * width + border + column
            behind = depth[n] - np.float32(splats.GAP)
            nearer = 0
            for i in range(8):
                nearer += depth[n + around[i]] < behind
                if nearer + 7 - i < needed:
                    break
            if nearer < needed:
                continue
            holes[found] = n
            filled[found] = 0
            for i in range(8):
                place = n + around[i]
                if depth[place] < behind:
                    for channel in range(4):
                        filled[found, channel] += pixels[place, channel] / nearer
                    filled[found, 4] += depth[place] / nearer
            found += 1
    for hole in range(found):
        n = holes[hole]
        depth[n] = filled[hole, 4]
        for channel in range(4):
            pixels[n, channel] = filled[hole, channel]
