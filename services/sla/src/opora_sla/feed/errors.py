"""Why a feed was not taken in."""


class FeedError(Exception):
    """The feed is not usable as it is now; the message says why, and what would be. What was read before stays."""
