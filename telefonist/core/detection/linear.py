"""A linear model over named features, as shipped: a bias, and a weight for every feature that matters."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from telefonist.core.detection.lexicon import read_data


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Weights of features and of pieces of spelling; what it has never seen weighs nothing."""

    bias: float
    weights: dict[str, float]
    pieces: dict[str, float]
    steepness: float

    def margin(self, features: Iterable[str], pieces: Iterable[str]) -> float:
        """Weigh what was seen: above nought speaks for it, below against.

        Sums are divided by the root of the count, so that a long segment is not louder than a short one.
        """
        total, count = 0.0, 0
        for feature in features:
            total += self.weights.get(feature, 0.0)
            count += 1
        spelled, spelled_count = 0.0, 0
        for piece in pieces:
            spelled += self.pieces.get(piece, 0.0)
            spelled_count += 1
        return self.bias + total / math.sqrt(max(1, count)) + spelled / math.sqrt(max(1, spelled_count))

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
