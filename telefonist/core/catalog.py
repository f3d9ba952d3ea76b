"""What can be asked for: model names, their aliases, prices and fallbacks."""

from collections.abc import Iterator, Sequence

from telefonist.errors import NotFound
from telefonist.types import Model


class Catalog:
    """The models by name, in the order of the configuration."""

    def __init__(self, models: Sequence[Model], default: str) -> None:
        self.models = tuple(models)
        self._by_name = {model.name: model for model in models}
        for model in models:
            for alias in model.aliases:
                self._by_name.setdefault(alias, model)
        self.default = self._by_name[default]

    def find(self, name: str | None) -> Model:
        """Give the model of that name or alias, or the default one; raises NotFound with the names there are."""
        if name is None:
            return self.default
        model = self._by_name.get(name)
        if model is None:
            raise NotFound("model_not_found", model=name, known=", ".join(model.name for model in self.models))
        return model

    def known(self, name: str) -> Model:
        """Give the model of that name; the default one in place of a model that was taken out of the settings."""
        return self._by_name.get(name, self.default)

    def with_fallbacks(self, name: str) -> Iterator[Model]:
        """Give a model and then those that stand in for it, each once."""
        first = self.known(name)
        seen: set[str] = set()
        for candidate in (first, *(self._by_name[fallback] for fallback in first.fallbacks)):
            if candidate.name not in seen:
                seen.add(candidate.name)
                yield candidate


def prompt_budget(model: Model) -> int:
    """Tokens of the model's window that the prompt may take, the answer's share kept free."""
    return model.context_window - min(model.max_output, model.context_window // 2)
