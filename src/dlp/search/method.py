"""How a search goes about it: for how long, what draws the values, what stops a hopeless trial."""

from dataclasses import dataclass
from typing import Literal

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from dlp.search.space import Space
from dlp.seeds import derived_seed

SamplerName = Literal["tpe", "random", "grid"]
PrunerName = Literal["median", "hyperband", "none"]


@dataclass(frozen=True)
class Search:
    """How a search goes about it.

    Args:
        trials: Finished trials of the study in all.
        timeout: Begin no trial after so many seconds.
        sampler: ``tpe`` learns from the trials before, ``random`` does not, ``grid`` takes each
            combination of a finite space once.
        pruner: What stops a trial that is worse than others were at that step.
        steps: How many values a whole trial reports, where that is known: the median pruner stops
            nothing in the first quarter of them.
        seed: Of the sampler; each trial draws by a seed derived from it.
        storage: URL of a database; None for a journal in the study's folder.
        new: Start another study, where one of the same definition is unfinished.
    """

    trials: int = 50
    timeout: float | None = None
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    steps: int | None = None
    seed: int = 0
    storage: str | None = None
    new: bool = False

    def wanted(self, space: Space) -> int:
        """Return how many finished trials the study is to have: of a grid no more than there are.

        Raises:
            InputError: A grid is asked for, and the space has no end.
        """
        return min(self.trials, len(space.grid(0))) if self.sampler == "grid" else self.trials

    def make_sampler(self, number: int) -> BaseSampler:
        """Return what draws the values of a trial, a function of the seed and its number."""
        seed = derived_seed(self.seed, number) % 2**32
        if self.sampler == "tpe":
            return TPESampler(seed=seed, constant_liar=True)
        return RandomSampler(seed=seed)

    def make_pruner(self) -> BasePruner:
        """Return what says which trials are hopeless."""
        if self.pruner == "hyperband":
            return HyperbandPruner(max_resource=self.steps or "auto")
        if self.pruner == "median":
            warmup = max(2, (self.steps or 0) // 4)
            return MedianPruner(n_startup_trials=5, n_warmup_steps=warmup)
        return NopPruner()
