"""Joint-MAE: Guo et al., IJCAI 2023, arXiv 2302.14007.

No program was released and the method's section was not available. What is the paper's, what is recalled and
what is a substitute from the group's other programs (Point-M2AE, I2P-MAE) is listed in docs/joint_mae.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from adacross.distributed.batch import mean_contribution, sample_for_batch
from adacross.encoders import Encoder
from adacross.errors import UserError, one_of
from adacross.methods.image_tower import ImageTowerConfig
from adacross.methods.joint_mae.alignment import Alignment, aligned_patches, joint_attention
from adacross.methods.joint_mae.decoder import JointDecoder, Reconstructed
from adacross.methods.joint_mae.depth_tokens import PATCH, DepthEmbedding, sine_positions
from adacross.methods.masked_points import MaskedPointMethod, check_ratio, draw_visible, hidden_groups
from adacross.nn.point_tokens import TokenGroups, TokenPacking, visible_levels
from adacross.nn.transformer import learnt_token
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


@dataclass(frozen=True)
class MaskedPairs:
    """B clouds, their depth maps from a random side, and what is visible of both."""

    points: Float[Tensor, "B N 3"]  # augmented
    projection: Projection  # of each cloud to its map
    depth: Float[Tensor, "B 1 S S"]
    visible_points: Bool[Tensor, "B G"]  # tokens of the cloud's coarsest level that are not masked
    visible_patches: Bool[Tensor, "B P"]  # patches of the map that are not masked


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
            term move points across the view, "hard" has a gradient in depth alone.
        radius: pixels around its own that a point writes to, too; 2 as released, for maps of 224 pixels.
        view: the side, 0 to 2, or None for a random one a shape.
        alignment: "exact"; "radius", patches within one of that of the token's center; "none", all see all.
        conv_depths: blocks after the first two stages of the map's embedding.
        shared_depth: decoder blocks that both modalities share.
        own_depth: decoder blocks of each.
        points: points drawn at random for each cloud; None: all there are.
        image_size: side S of the depth map, a multiple of 16; 224 as recalled.

    Raises:
        UserError: another encoder, or options that do not fit.
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
        self.group_points = group_points or (middle if target == "middle" else 32)
        self.reduction: Reduction = reduction
        self.splat: Splat = splat
        self.radius = radius
        self.view = view
        one_of("alignment", alignment, get_args(Alignment))
        self.alignment: Alignment = alignment
        self.image_size = image_size
        dims, heads = self.encoder.dims, self.encoder.heads
        self.embed_depth = DepthEmbedding(dims, conv_depths)
        self.modality_token = learnt_token(dims[2])
        self.patch_norm = nn.LayerNorm(dims[2])
        coarse = target == "coarse"
        self.decoder = JointDecoder(dims, heads, coarse, self.group_points, shared_depth, own_depth)
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
        """The last layer of the decoder's last shared block."""
        return self.decoder.last_shared()
