"""A few labels given, the rest proposed, and what to label next."""

from adacross.labelling.command import suggest
from adacross.labelling.propose import Proposal, propose

__all__ = ["Proposal", "propose", "suggest"]
