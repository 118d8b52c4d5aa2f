"""AdaCrossNet: Putra et al., IJIES 18(1), 2025, doi 10.22266/ijies2025.0229.11."""

from typing import ClassVar

from adacross.methods.crossnet import CrossNet


class AdaCrossNet(CrossNet):
    """CrossNet's terms, weighted adaptively; the weighting is the whole difference.

    Its weighting is `adacrossnet` of `adacross.losses.weighting`: the released rule, an exponentially
    weighted mean of a sigmoid of each term's change, which sits at 0.5 after some hundred steps whatever the
    losses do. `convergence` is the rule that its abstract describes, by us. The paper's own equation was not
    available; the released program's has been the same since its first commit.
    """

    weighting: ClassVar[str] = "adacrossnet"
