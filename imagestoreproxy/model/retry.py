"""Retry rules, in one place: what is tried again, how often, and after which pause.

What is tried again at all is said by the error (``retry_helps``); progress starts the count anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential pauses with jitter.

    Args:
        tries: in all; 0 for no end.
        first_s, longest_s: the pause after the first failure, and the most it grows to.
        longest_asked_s: the most that a server may ask for with ``Retry-After``.
    """

    tries: int
    first_s: float
    longest_s: float
    longest_asked_s: float = 120.0

    def is_over(self, failures: int) -> bool:
        """Tell whether ``failures`` in a row are enough."""
        return 0 < self.tries <= failures

    def pause_s(self, failures: int, spread: float, asked_s: float = 0.0) -> float:
        """Give the pause after the ``failures``-th failure in a row.

        Args:
            spread: a random number from 0 to 1; the pause is 0.5 to 1.5 of its nominal length.
            asked_s: what the server asked for; never less than that, within bounds.
        """
        nominal_s = min(self.first_s * 2.0 ** (failures - 1), self.longest_s)
        return max(nominal_s * (0.5 + spread), min(asked_s, self.longest_asked_s))


# A download from one address; bytes that came start the count anew.
DOWNLOAD = Retry(tries=5, first_s=1.0, longest_s=30.0)
# One request to S3 or EC2.
CLOUD = Retry(tries=4, first_s=0.5, longest_s=8.0, longest_asked_s=30.0)
# Taking back what an install did: never given up while that may help, or it stays for good.
UNDO = Retry(tries=0, first_s=2.0, longest_s=300.0)
# The same where the cloud said no, and no waiting changes that.
REFUSED = Retry(tries=5, first_s=2.0, longest_s=300.0)
# An update of an image that is followed.
UPDATE = Retry(tries=0, first_s=600.0, longest_s=86400.0)

# How many different addresses may give a file with a wrong digest before the install ends.
WRONG_DIGESTS = 2
