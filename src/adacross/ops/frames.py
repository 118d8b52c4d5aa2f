"""Principal frames of point clouds."""

import torch
from jaxtyping import Float
from torch import Tensor

_SWEEPS = 5  # of Jacobi rotations; a 3 x 3 matrix is diagonal to the precision of float32 after four


def principal_frames(points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B 4 3 3"]:
    """Return the four right-handed frames along each cloud's principal axes, the longest axis first.

    Axes are rows: `points @ frames[:, i].mT` are coordinates in frame i. Axes have no sign, hence four; those
    of a rotated cloud are the same four, rotated with it (in another order) if its three variances differ.
    No gradient flows through them.

    Example:
        >>> corners = torch.tensor([[[3.0, 0, 0], [-3, 0, 0], [0, 0, 2], [0, 0, -2], [0, 1, 0], [0, -1, 0]]])
        >>> principal_frames(corners)[0, 0].abs()
        tensor([[1., 0., 0.],
                [0., 0., 1.],
                [0., 1., 0.]])
    """
    with torch.no_grad():
        centered = points - points.mean(1, keepdim=True)
        # Products of columns, not a matrix product, which lower precisions round.
        pairs = [[(centered[..., i] * centered[..., j]).sum(1) for j in range(3)] for i in range(3)]
        variances, axes = _diagonal(pairs)
        longest = variances.topk(2, dim=1).indices
        first, second = axes.gather(1, longest[..., None].expand(-1, -1, 3)).unbind(1)
        third = torch.linalg.cross(first, second)
        return torch.stack(
            [
                torch.stack([a * first, b * second, a * b * third], dim=1)
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ],
            dim=1,
        )


def _diagonal(matrix: list[list[Tensor]]) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3 3"]]:
    """Return eigenvalues and eigenvectors (as rows) of symmetric 3 x 3 matrices, by Jacobi's method.

    It is made of elementwise operations, which every device and ONNX have.
    """
    a, zero = [list(row) for row in matrix], torch.zeros_like(matrix[0][0])
    axes = [torch.stack([zero + (i == j) for j in range(3)], dim=1) for i in range(3)]
    for _ in range(_SWEEPS):
        for p, q, r in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
            # the smaller root of t^2 + 2 t (a_qq - a_pp) / (2 a_pq) - 1 = 0, without dividing by a_pq
            twice, apart = 2 * a[p][q], a[q][q] - a[p][p]
            root = (apart.square() + twice.square()).sqrt()
            below = torch.where(apart < 0, apart - root, apart + root)
            t = torch.where(below == 0, zero, twice / torch.where(below == 0, zero + 1, below))
            cos = (t.square() + 1).rsqrt()
            sin = t * cos
            a[p][p], a[q][q] = a[p][p] - t * a[p][q], a[q][q] + t * a[p][q]
            a[p][q] = a[q][p] = zero
            old = a[p][r], a[q][r]
            a[p][r] = a[r][p] = cos * old[0] - sin * old[1]
            a[q][r] = a[r][q] = sin * old[0] + cos * old[1]
            c, s = cos[:, None], sin[:, None]
            axes[p], axes[q] = c * axes[p] - s * axes[q], s * axes[p] + c * axes[q]
    return torch.stack([a[i][i] for i in range(3)], dim=1), torch.stack(axes, dim=1)
