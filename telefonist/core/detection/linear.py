"""A linear model over named features, as shipped: a bias, and a weight for every feature that matters."""

import json
import math
from collections.abc import Collection, Iterable
from functools import cache

from telefonist.core.detection.lexicon import read_data
from telefonist.core.detection.words import Word

SPELLING = 0.5
"""What the pieces of spelling count for beside the features; by leaving out voices."""
KEPT = 16_384
"""Words whose weight is remembered."""


class LinearModel:
    """Weights of features and of pieces of spelling; what it has never seen weighs nothing."""

    def __init__(self, bias: float, weights: dict[str, float], pieces: dict[str, float], steepness: float) -> None:
        self.bias = bias
        self.weights = weights
        self.pieces = pieces
        self.steepness = steepness
        self._spelled: dict[str, float] = {}

    def margin(self, features: Collection[str], words: Iterable[Word]) -> float:
        """Weigh what was seen: above nought speaks for it, below against.

        Sums are divided by the root of the count, so that a long segment is not louder than a short one.
        """
        weights = self.weights
        total = sum([weights[feature] for feature in features if feature in weights])
        spelled, count = 0.0, 0
        for word in words:
            spelled += self._weigh(word)
            count += len(word.pieces)
        return self.bias + total / math.sqrt(max(1, len(features))) + SPELLING * spelled / math.sqrt(max(1, count))

    def _weigh(self, word: Word) -> float:
        weight = self._spelled.get(word.text)
        if weight is None:
            if len(self._spelled) > KEPT:
                self._spelled.clear()
            weight = sum(self.pieces.get(piece, 0.0) for piece in word.pieces)
            self._spelled[word.text] = weight
        return weight

    def score(self, margin: float) -> float:
        """Turn a margin into a score from 0 to 1 that reads like a probability; 0.5 is the border."""
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.steepness * margin))))


@cache
def load_model(name: str) -> LinearModel:
    """Load a shipped model, once."""
    stored = json.loads("".join(read_data(f"{name}.json")))
    return LinearModel(
        bias=stored["bias"],
        weights={feature: weight / stored["unit"] for feature, weight in stored["weights"].items()},
        pieces={feature: weight / stored["unit"] for feature, weight in stored["pieces"].items()},
        steepness=stored["steepness"],
    )
