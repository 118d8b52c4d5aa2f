"""Joint-MAE: Guo et al., IJCAI 2023, arXiv 2302.14007.

No program was released and the method's section was not available. What is the paper's, what is recalled and
what is a substitute from the group's other programs (Point-M2AE, I2P-MAE) is listed in docs/joint_mae.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from adacross.distributed.batch import mean_contribution, sample_for_batch
from adacross.encoders import Encoder
from adacross.errors import UserError, one_of
from adacross.methods.image_tower import ImageTowerConfig
from adacross.methods.joint_mae.depth_tokens import PATCH, DepthEmbedding, sine_positions
from adacross.methods.point_m2ae import (
    MaskedPointMethod,
    PointReconstruction,
    check_ratio,
    draw_visible,
    hidden_groups,
)
from adacross.nn.point_tokens import TokenGroups, TokenPacking, visible_levels
from adacross.nn.transformer import PositionEmbedding, TransformerEncoder, learnt_token
from adacross.ops.chamfer import chamfer
from adacross.ops.neighbors import gather, knn
from adacross.ops.projection import (
    VIEWS,
    Projection,
    Reduction,
    Splat,
    check_drawing,
    depth_map,
    fit_projection,
    patchify,
)

Target = Literal["middle", "coarse"]
Alignment = Literal["exact", "radius", "none"]


@dataclass(frozen=True)
class MaskedPairs:
    """B clouds, their depth maps from a random side, and what is visible of both."""

    points: Float[Tensor, "B N 3"]  # augmented
    projection: Projection  # of each cloud to its map
    depth: Float[Tensor, "B 1 S S"]
    visible_points: Bool[Tensor, "B G"]  # tokens of the cloud's coarsest level that are not masked
    visible_patches: Bool[Tensor, "B P"]  # patches of the map that are not masked


class CoarseReconstruction(nn.Module):
    """From tokens of the coarsest level to points around their own centers: blocks, norm, a linear head.

    Point-MAE's decoder (Pang et al. 2022, arXiv 2203.06604) at this hierarchy's top, without propagation.
    """

    def __init__(self, dim: int, points: int, depth: int = 1, heads: int = 6) -> None:
        super().__init__()
        self.stack = TransformerEncoder(depth, dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 3 * points)

    def forward(
        self, tokens: Float[Tensor, "B H C"], position: Float[Tensor, "B H C"]
    ) -> Float[Tensor, "B H m 3"]:
        """Predict offsets from each center, `(B, H, m, 3)`, from tokens and their positions."""
        return self.head(self.norm(self.stack(tokens, position))).unflatten(2, (-1, 3))


class Reconstructed(NamedTuple):
    """Predictions of every group and every patch, masked or not."""

    offsets: Float[Tensor, "B G m 3"]  # points around the centers of the middle or the coarsest level
    patches: Float[Tensor, "B P area"]  # pixels


class JointDecoder(nn.Module):
    """Mask tokens fill both modalities up; shared blocks see all tokens; then each goes its own way.

    Clouds: carried to the middle level and reconstructed there, as by Point-M2AE, or (`coarse`) reconstructed
    where the coarsest tokens are. Depth maps: blocks, a norm and a linear layer to 16 x 16 pixels. Depths are
    ours by fallback: Point-M2AE has 1 + 1, PiMAE 3.
    """

    def __init__(
        self, dims: Sequence[int], heads: int, coarse: bool, points: int, shared_depth: int, own_depth: int
    ) -> None:
        super().__init__()
        _, fine, dim = dims
        self.point_token, self.patch_token, self.modality_token = (learnt_token(dim) for _ in range(3))
        self.point_position = PositionEmbedding(dim)
        self.shared = TransformerEncoder(shared_depth, dim, heads)
        self.points: CoarseReconstruction | PointReconstruction
        if coarse:
            self.points = CoarseReconstruction(dim, points, own_depth, heads)
        else:
            self.points = PointReconstruction(dim, fine, points, own_depth, heads)
        self.patches = TransformerEncoder(own_depth, dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, PATCH * PATCH)

    def forward(
        self,
        levels: Sequence[TokenGroups],
        skip: Float[Tensor, "B G Cfine"],
        points: Float[Tensor, "B H C"],
        visible_points: Bool[Tensor, "B H"],
        patches: Float[Tensor, "B P C"],
        visible_patches: Bool[Tensor, "B P"],
        grid: Float[Tensor, "P C"],
    ) -> Reconstructed:
        """Complete both modalities from their tokens, of which masked ones do not matter.

        `skip` are the encoder's tokens of the middle level, 0 where masked; `grid` the positions of the
        patches.
        """
        points = torch.where(visible_points[:, :, None], points, self.point_token)
        patches = torch.where(visible_patches[:, :, None], patches, self.patch_token)
        in_space = self.point_position(levels[2].centers)
        on_map = (grid + self.modality_token).expand_as(patches)
        both = self.shared(torch.cat([points, patches], 1), torch.cat([in_space, on_map], 1))
        clouds, maps = both.split([points.shape[1], patches.shape[1]], 1)
        if isinstance(self.points, CoarseReconstruction):
            offsets = self.points(clouds, in_space)
        else:
            offsets = self.points(levels[1], skip, levels[2], clouds)
        return Reconstructed(offsets, self.head(self.norm(self.patches(maps, on_map))))


class Completed(NamedTuple):
    """A batch encoded and decoded."""

    levels: list[TokenGroups]  # of the clouds
    visible: list[Bool[Tensor, "B _"]]  # tokens of every level that are visible
    decoded: Reconstructed  # what the decoder says


class JointMAE(MaskedPointMethod):
    """Clouds and their own depth maps, both masked, complete each other.

    Visible tokens of both go through the encoder's last stage together. There a token of the cloud sees only
    those patches that one of its points falls on, and the other way round (local-aligned attention); within
    a modality all see all. A joint decoder reconstructs hidden points, hidden patches, and by projecting the
    points once more the hidden patches again. What remains is the point encoder, as it is without images.

    Terms, unweighted: `points`, Chamfer distance of hidden groups; `depth`, mean squared error of hidden
    patches; `cross`, the same for the map drawn from reconstructed and visible points.

    Args:
        encoder: a `PointM2AE` whose last stage has blocks. The recipe has none in the other stages.
        mask_ratio: of the cloud's coarsest tokens.
        patch_mask_ratio: of the map's patches, drawn independently.
        target: the groups to reconstruct: "middle", those of the middle level, as Point-M2AE; "coarse", the
            points nearest to each center of the coarsest level, of which there are fewer: a decoder that
            knows the centers has less to go by.
        group_points: points of a group of target "coarse"; 32 by default. Groups of target "middle" are the
            encoder's, and have as many points as its second level has neighbors.
        reduction: of the depth map; see `adacross.ops.projection.depth_map`.
        splat: of the depth map and of the map drawn from reconstructed points; only "soft" lets the cross
            term move points across the view, "hard" has a gradient only in depth.
        radius: pixels around its own that a point writes to, too; 2 as released, for maps of 224 pixels.
        view: the side, 0 to 2, or None for a random one a shape.
        alignment: "exact", patches that a point of the token falls on; "radius", the patch of its center and
            those around it; "none", all see all.
        conv_depths: blocks after the first two stages of the map's embedding.
        shared_depth: decoder blocks that both modalities share.
        own_depth: decoder blocks of each.
        points: points drawn at random for each cloud; None: all there are.
        image_size: side S of the depth map, a multiple of 16; 224 as recalled.
    """

    grid: Float[Tensor, "P C"]

    def __init__(
        self,
        encoder: Encoder,
        mask_ratio: float = 0.75,
        patch_mask_ratio: float = 0.75,
        target: Target = "middle",
        group_points: int | None = None,
        reduction: Reduction = "nearest",
        splat: Splat = "soft",
        radius: int = 2,
        view: int | None = None,
        alignment: Alignment = "exact",
        conv_depths: Sequence[int] = (2, 2),
        shared_depth: int = 2,
        own_depth: int = 1,
        points: int | None = None,
        image_size: int = 224,
    ) -> None:
        super().__init__("joint-mae", encoder, mask_ratio, points)
        if image_size % PATCH:
            raise UserError(f"image_size is {image_size}; joint-mae needs a multiple of {PATCH} (224).")
        if view is not None and not 0 <= view < len(VIEWS):
            raise UserError(f"view is {view}; expected 0, 1 or 2, or nothing for a random one.")
        side = image_size // PATCH
        check_ratio("patch_mask_ratio", patch_mask_ratio, side * side)
        self.patch_mask_ratio = patch_mask_ratio
        check_drawing(reduction, splat, radius)
        self.level = {"middle": 1, "coarse": 2}[one_of("target", target, get_args(Target))]
        middle = self.encoder.neighbors[1]
        if target == "middle" and group_points not in (None, middle):
            raise UserError(
                f"group_points is {group_points}, but target 'middle' reconstructs the encoder's own groups, "
                f"which have {middle} points. Leave group_points out, or choose target 'coarse'."
            )
        if group_points is not None and group_points < 1:
            raise UserError(f"group_points is {group_points}; expected at least 1 (32 by default).")
        if shared_depth < 1:
            raise UserError(f"shared_depth is {shared_depth}; expected at least 1 (2 by default).")
        self.group_points = group_points or (middle if target == "middle" else 32)
        self.reduction, self.splat, self.radius, self.view = reduction, splat, radius, view
        one_of("alignment", alignment, get_args(Alignment))
        self.alignment, self.image_size = alignment, image_size
        dims, heads = self.encoder.dims, self.encoder.heads
        self.embed_depth = DepthEmbedding(dims, conv_depths)
        self.modality_token = learnt_token(dims[2])
        self.patch_norm = nn.LayerNorm(dims[2])
        self.decoder = JointDecoder(
            dims, heads, target == "coarse", self.group_points, shared_depth, own_depth
        )
        self.register_buffer("grid", sine_positions(side, dims[2]), persistent=False)

    @classmethod
    def build(cls, encoder: Encoder, images: ImageTowerConfig, **options: Any) -> "JointMAE":
        """Build for depth maps of the images' size; `options` are this class's."""
        return cls(encoder, image_size=images.size, **options)

    def masked(self, points: Float[Tensor, "B N 3"], generator: Generator) -> MaskedPairs:
        """Clouds as they are, their maps from a random side each, and two independent masks a shape."""
        B, device = len(points), points.device
        if self.view is None:
            sides = partial(torch.randint, len(VIEWS))
            view = sample_for_batch(sides, (B,), generator=generator, device=device)
        else:
            view = torch.full((B,), self.view, device=device)
        projection = fit_projection(points, view, self.image_size)
        return MaskedPairs(
            points,
            projection,
            depth_map(points, projection, self.reduction, self.splat, self.radius),
            draw_visible(B, self.encoder.groups[2], self.mask_ratio, generator),
            draw_visible(B, len(self.grid), self.patch_mask_ratio, generator),
        )

    def losses(self, batch: MaskedPairs) -> dict[str, Tensor]:
        """The terms `points`, `depth` and `cross`."""
        levels, visible, decoded = self.complete(batch)
        hidden, hidden_patches = hidden_groups(visible[self.level]), ~batch.visible_patches
        truth = patchify(batch.depth)[hidden_patches]
        redrawn = patchify(self.redraw(batch, levels, visible, decoded.offsets))[hidden_patches]
        offsets = self.true_offsets(batch, levels)[hidden]
        return {
            "points": mean_contribution(chamfer(decoded.offsets[hidden], offsets)),
            "depth": mean_contribution((decoded.patches[hidden_patches].to(truth.dtype) - truth).square()),
            "cross": mean_contribution((redrawn - truth).square()),
        }

    def complete(self, batch: MaskedPairs) -> Completed:
        """Encode what is visible and decode everything."""
        levels = self.encoder.group(batch.points)
        visible = visible_levels(levels, batch.visible_points)
        skip, points, patches = self.encode(batch, levels, visible)
        decoded = self.decoder(
            levels, skip, points, batch.visible_points, patches, batch.visible_patches, self.grid
        )
        return Completed(levels, visible, decoded)

    def encode(
        self, batch: MaskedPairs, levels: list[TokenGroups], visible: list[Bool[Tensor, "B _"]]
    ) -> tuple[Float[Tensor, "B G1 C1"], Float[Tensor, "B G2 C"], Float[Tensor, "B P C"]]:
        """Normalized tokens of the middle level, the coarsest level and the patches; masked ones are 0."""
        encoder = self.encoder
        below: list[Tensor] = []
        for level in range(2):
            below.append(encoder.run(level, encoder.embed(level, levels, below, visible)))
        cloud = encoder.embed(2, levels, below, visible)
        cloud_packing, map_packing = TokenPacking.of(visible[2]), TokenPacking.of(batch.visible_patches)
        maps = map_packing.pack(self.embed_depth(batch.depth, batch.visible_patches))
        on_map = (self.grid + self.modality_token)[map_packing.indices]
        aligned = aligned_patches(self.alignment, levels, batch.points, batch.projection)
        sees = joint_attention(aligned, cloud_packing.indices, map_packing.indices)
        both = encoder.stacks[2](torch.cat([cloud.x, maps], 1), torch.cat([cloud.position, on_map], 1), sees)
        points, patches = both.split([cloud.x.shape[1], maps.shape[1]], 1)
        return (
            encoder.normalized(1, below[1], visible),
            encoder.normalized(2, encoder.unpacked(2, cloud, points), visible),
            map_packing.unpack(self.patch_norm(patches), len(self.grid)),
        )

    def redraw(
        self,
        batch: MaskedPairs,
        levels: list[TokenGroups],
        visible: list[Bool[Tensor, "B _"]],
        offsets: Float[Tensor, "B G m 3"],
    ) -> Float[Tensor, "B 1 S S"]:
        """The map of reconstructed groups where hidden and of the true points where visible."""
        truth = self.true_offsets(batch, levels)
        made = torch.where(visible[self.level][:, :, None, None], truth, offsets.to(truth.dtype))
        groups = (levels[self.level].centers[:, :, None] + made).flatten(1, 2)
        known = gather(batch.points, levels[0].neighbors)
        anchor = gather(levels[0].centers, visible[0].to(torch.uint8).argmax(1, keepdim=True))
        known = torch.where(visible[0][:, :, None, None], known, anchor[:, :, None]).flatten(1, 2)
        cloud = torch.cat([groups, known], 1)
        return depth_map(cloud, batch.projection, self.reduction, self.splat, self.radius)

    def true_offsets(self, batch: MaskedPairs, levels: list[TokenGroups]) -> Float[Tensor, "B G m 3"]:
        """Return the points that the reconstruction of every group should have, relative to its center."""
        if self.level == 1:
            return levels[1].offsets
        centers = levels[2].centers
        nearest = knn(batch.points, self.group_points, queries=centers)
        return gather(batch.points, nearest) - centers[:, :, None]

    def shared_parameters(self) -> list[nn.Parameter]:
        """The last layer of the decoder's last shared block, which every reconstruction depends on."""
        return list(self.decoder.shared.blocks[-1].get_submodule("leave").parameters())


def joint_attention(
    aligned: Bool[Tensor, "B G P"], tokens: Int64[Tensor, "B V"], patches: Int64[Tensor, "B W"]
) -> Bool[Tensor, "B L L"]:
    """Return the attention mask over V visible tokens, then W visible patches (L = V + W).

    Each sees all of its own modality, so no row is empty; of the other, what is `aligned` with it. `tokens`
    and `patches` are the indices of the visible ones.
    """
    across = aligned.gather(1, tokens[:, :, None].expand(-1, -1, aligned.shape[2]))
    across = across.gather(2, patches[:, None].expand(-1, tokens.shape[1], -1))
    of_cloud, of_map = (across.new_ones(len(across), n, n) for n in across.shape[1:])
    return torch.cat([torch.cat([of_cloud, across], 2), torch.cat([across.mT, of_map], 2)], 1)


def aligned_patches(
    alignment: Alignment,
    levels: Sequence[TokenGroups],
    points: Float[Tensor, "B N 3"],
    projection: Projection,
) -> Bool[Tensor, "B G P"]:
    """Return which patches belong to each coarsest token; see `JointMAE` for `alignment`."""
    side = projection.size // PATCH
    if alignment == "exact":
        return covered_patches(levels, projection.patches(points, PATCH), side * side)
    middle = projection.patches(levels[-1].centers, PATCH)[:, :, None]
    every = torch.arange(side * side, device=middle.device)
    reach = 1 if alignment == "radius" else side
    rows, columns = middle // side - every // side, middle % side - every % side
    return (rows.abs() <= reach) & (columns.abs() <= reach)


def covered_patches(
    levels: Sequence[TokenGroups], patches: Int64[Tensor, "B N"], count: int
) -> Bool[Tensor, "B G P"]:
    """Return which of `count` patches hold a point that each coarsest token is made of.

    A token is made of the tokens below it that it groups, and in the end of points; the stored neighbors tell
    which. Each point lies in one patch, `patches` `(B, N)`.
    """
    landed = patches[:, :, None]  # of each token below, the patches of all its points
    for level in levels:
        B, G, _ = level.neighbors.shape
        members = level.neighbors.flatten(1)[:, :, None].expand(-1, -1, landed.shape[2])
        landed = landed.gather(1, members).view(B, G, -1)
    covered = torch.zeros(B, G, count, dtype=torch.bool, device=patches.device)
    return covered.scatter_(2, landed, True)
