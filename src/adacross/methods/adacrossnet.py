"""AdaCrossNet: Putra et al., IJIES 18(1), 2025, doi 10.22266/ijies2025.0229.11."""

from typing import ClassVar

from adacross.methods.crossnet import CrossNet


class AdaCrossNet(CrossNet):
    """CrossNet's terms, weighted adaptively; the weighting is the whole difference.

    The paper's own equation was not available. `AdaCrossNetWeighting` is the released program's, the same
    since its first commit; `ConvergenceRate` is the rule that its abstract describes, by us.
    """

    weighting: ClassVar[str] = "adacrossnet"
