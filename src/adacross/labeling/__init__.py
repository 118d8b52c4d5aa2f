"""A few labels given, the rest proposed, and what to label next."""

from adacross.labeling.command import suggest
from adacross.labeling.propose import Proposal, propose

__all__ = ["Proposal", "propose", "suggest"]
