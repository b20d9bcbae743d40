"""The one way the project speaks to a person: a printed line, on the first process only."""

from lightning.pytorch.utilities import rank_zero_only


@rank_zero_only
def say(message: str) -> None:
    """Print one line at once (pipes and notebooks included)."""
    print(message, flush=True)
