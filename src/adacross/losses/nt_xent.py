"""NT-Xent, the contrastive loss of every term: Chen et al. 2020, arXiv 2002.05709, eq. 1."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from adacross.distributed.batch import all_gather, mean_contribution
from adacross.errors import UserError
from adacross.ops.precision import exact_products


def nt_xent(
    a: Float[Tensor, "M D"],
    b: Float[Tensor, "M D"],
    temperature: float,
    *,
    objects: Int64[Tensor, " M"] | None = None,
) -> Float[Tensor, ""]:
    """Contrast rows with all others: each must find its partner among the rows of both sets.

    With u the 2M normalized rows of a and b and p' the partner of p (a_i and b_i are partners),

        loss = 1/(2M) sum_p -log( exp(u_p u_p' / t) / sum_{q != p} exp(u_p u_q / t) ).

    Both directions count, and rows of the same set are negatives too. Features that say nothing give
    ln(2M - 1). Half precision is computed in float32.

    In a batch shared by processes (`distributed.batch`) p runs over this process's rows and q over all
    processes': the result is this process's part of the mean over all rows, and parts add up to the loss.

    Args:
        a: `(M, D)`, M at least 2, not normalized.
        b: `(M, D)`, the partners of `a`, row by row.
        temperature: t, above 0; 0.1 CrossPoint, 0.2 CrossNet and AdaCrossNet.
        objects: `(M,)` which object rows i of `a` and `b` show. Rows of one object that are not partners are
            then left out of each other's denominator; processes hold different objects. None: they are
            negatives, as released (CrossNet's cross term has two of those for every row).
    """
    M = len(a)
    if a.shape != b.shape or M < 2:
        raise UserError(
            f"NT-Xent compares {tuple(a.shape)} with {tuple(b.shape)}; "
            "expected two of the same shape (M, D), M at least 2."
        )
    if not temperature > 0:
        raise UserError(
            f"NT-Xent's temperature is {temperature}; expected a positive number (0.1 or 0.2 are usual)."
        )
    if objects is not None and objects.shape != (M,):
        raise UserError(f"objects has shape {tuple(objects.shape)}; expected one object per pair, ({M},).")
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    with exact_products(a.device):
        rows = nn.functional.normalize(torch.cat([a.to(dtype), b.to(dtype)]), dim=1)
        others, before = all_gather(rows)
        similarity = rows @ others.T / temperature
        place = torch.arange(2 * M, device=a.device)
        partner = place.roll(M)
        shown = place if objects is None else objects.repeat(2)
        left_out = shown[:, None] == shown
        left_out[place, partner] = False
        left_out = nn.functional.pad(left_out, (before, len(others) - before - 2 * M))
        similarity = similarity.masked_fill(left_out, -torch.inf)
        return mean_contribution(nn.functional.cross_entropy(similarity, before + partner, reduction="none"))
