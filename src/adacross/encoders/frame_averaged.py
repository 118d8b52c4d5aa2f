"""Features that do not depend on the orientation: frame averaging (Puny et al. 2022, arXiv 2110.03336)."""

from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from adacross.encoders.base import Encoder, PointsAndCloud
from adacross.encoders.inputs import InputSpec
from adacross.encoders.registry import build_encoder
from adacross.ops.frames import principal_frames


class FrameAveraged(Encoder):
    """The mean of an encoder's features over a cloud's four principal frames.

    A rotated cloud has the same coordinates in its frames, and so the same features, whatever the encoder; a
    cloud with two equal variances (a cylinder, a cube) has no definite frames, and its features vary a
    little. In training mode one of the frames is taken, so that a training step costs no more.
    `pretrain --orientation any` trains one.

    Args:
        encoder: a built-in name or `package.module:Name`.
        encoder_args: its options.

    Example:
        >>> import torch
        >>> encoder = FrameAveraged("pointnet", {"width": 16}).eval()
        >>> cloud = torch.rand(1, 100, 3) * torch.tensor([3.0, 2.0, 1.0])
        >>> lying = cloud[..., [1, 0, 2]] * torch.tensor([1.0, -1.0, 1.0])  # a quarter turn
        >>> torch.allclose(encoder(cloud), encoder(lying), atol=1e-5)
        True
    """

    kind: ClassVar[str] = "frame-averaged"

    def __init__(self, encoder: str = "pointnet", encoder_args: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.encoder = build_encoder(encoder, **(encoder_args or {}))
        self.options = {"encoder": encoder, "encoder_args": self.encoder.options}  # with the defaults
        self.dim = self.encoder.dim
        if self.encoder.has_point_features:
            self.point_dim = self.encoder.point_dim
        self.inputs = InputSpec(up="any")

    @classmethod
    def around(cls, encoder: Encoder) -> "FrameAveraged":
        """Return frame averaging with a copy of an encoder's weights, such as those of one trained upright.

        Example:
            >>> import adacross
            >>> FrameAveraged.around(adacross.load("builtin-small")).dim
            1024
        """
        made = cls(encoder.kind, encoder.options)
        made.encoder.load_state_dict(encoder.state_dict())
        made.inputs = InputSpec(up="any", points=encoder.inputs.points)
        return made.train(encoder.training)

    def forward(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B D"]:
        return self._mean(self.encoder(self._in_frames(points)))

    @property
    def has_point_features(self) -> bool:
        """True if the encoder has them."""
        return self.encoder.has_point_features

    def point_features(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N C"]:
        return self._mean(self.encoder.point_features(self._in_frames(points)))

    def both_features(self, points: Float[Tensor, "B N 3"]) -> PointsAndCloud:
        of_points, of_clouds = self.encoder.both_features(self._in_frames(points))
        return self._mean(of_points), self._mean(of_clouds)

    @property
    def _frames(self) -> int:
        return 1 if self.training else 4

    def _in_frames(self, points: Float[Tensor, "B N 3"]) -> Float[Tensor, "F N 3"]:
        """Return each cloud's coordinates in its frames, F = B x frames clouds."""
        frames = principal_frames(self.check(points))[:, : self._frames]
        # a sum of columns, not a matrix product, which lower precisions round
        x, y, z = (points[:, None, :, i, None] * frames[:, :, None, :, i] for i in range(3))
        return (x + y + z).flatten(0, 1)

    def _mean(self, features: Float[Tensor, "F *rest"]) -> Float[Tensor, "B *rest"]:
        return features.unflatten(0, (-1, self._frames)).mean(1)
