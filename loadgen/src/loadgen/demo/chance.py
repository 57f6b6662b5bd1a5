"""What is drawn rather than decided."""

from math import exp
from random import Random


class Chance:
    """Draws of one generator. Times vary by a lognormal factor with ``sigma``."""

    def __init__(self, random: Random, sigma: float) -> None:
        self.random = random
        self._sigma = sigma

    def happens(self, probability: float) -> bool:
        return self.random.random() < probability

    def spread(self, median: float) -> float:
        return median * exp(self.random.gauss(0.0, self._sigma))

    def seconds(self, median_ms: float) -> float:
        return self.spread(median_ms) / 1000

    def vary(self, share: float) -> float:
        """Return a factor between 1 less and 1 more than ``share``."""
        return self.random.uniform(1 - share, 1 + share)

    def score(self, mean: float, deviation: float) -> float:
        return min(max(self.random.gauss(mean, deviation), 0.0), 10.0)
