"""The providers and models that file and keys make together, checked as a whole."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from telefonist.settings.known_upstreams import (
    DEMO,
    DEMO_MODELS,
    GIGACHAT_STREAMS,
    MAKES,
    gigachat,
    notes_without_gigachat,
    rows_from_keys,
)
from telefonist.settings.names import closest
from telefonist.settings.rows import Document, ModelRow, ProviderRow
from telefonist.types import Model, ProviderConfig


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every name can be resolved: providers of models, fallbacks and the default model exist."""

    providers: tuple[ProviderConfig, ...]
    models: tuple[Model, ...]
    default_model: str
    notes: tuple[str, ...]


def build_catalogue(document: Document, directory: Path, problems: list[str]) -> Catalogue:
    """Put the file's rows first, then those of the keys, then the demo; a row of the file changes a later namesake.

    What is wrong is added to ``problems``; the catalogue is of use only when nothing was.
    """
    known = rows_from_keys(document.keys, directory)
    notes = list(known.notes)
    providers = _providers(document, (*known.providers, DEMO), directory)
    models = _models(document.models, (*known.models, *DEMO_MODELS), notes)
    problems += _repeated("provider", [row.name for row in document.providers])
    problems += _repeated("model or alias", [name for row in document.models for name in (row.name, *row.aliases)])
    problems += _provider_problems(providers)
    problems += _model_problems(models, {provider.name for provider in providers})
    names = {name: model.name for model in models for name in (*model.aliases, model.name)}
    first_chat = next((model for model in models if model.kind == "chat"), models[0])
    default_model = names.get(document.default_model or "", first_chat.name)
    problems += _reference_problems(document, names)
    problems += _kind_problems(models, names, default_model)
    models = [
        replace(model, fallbacks=tuple(names.get(fallback, fallback) for fallback in model.fallbacks))
        for model in models
    ]
    if not any(provider.kind == "gigachat" for provider in providers):
        notes += notes_without_gigachat(document.keys)
    notes += _notes_on_providers(providers, {model.provider for model in (*models, *known.models)})
    return Catalogue(tuple(providers), tuple(models), default_model, tuple(notes))


def _providers(document: Document, known: Iterable[ProviderConfig], directory: Path) -> list[ProviderConfig]:
    by_name = {provider.name: provider for provider in known}
    providers = []
    for row in document.providers:
        said: dict[str, Any] = {name: getattr(row, name) for name in row.model_fields_set}
        if row.ca_bundle:
            said["ca_bundle"] = str(directory / row.ca_bundle.expanduser())
        namesake = by_name.pop(row.name, None)
        if namesake is None or row.kind != namesake.kind:
            namesake = _blank(row, document, directory)
        if row.kind == "gigachat":
            if row.base_url:
                said.setdefault("chat_url", "")
            if row.scope:
                said.setdefault("max_concurrency", GIGACHAT_STREAMS[row.scope])
        providers.append(replace(namesake, **said))
    return [*providers, *by_name.values()]


def _blank(row: ProviderRow, document: Document, directory: Path) -> ProviderConfig:
    """Give what a row begins with that changes no other."""
    return (
        gigachat(row.name, document.keys, directory) if row.kind == "gigachat" else ProviderConfig(row.name, row.kind)
    )


def _models(rows: Iterable[ModelRow], known: Iterable[Model], notes: list[str]) -> list[Model]:
    rows = tuple(rows)
    taken = {name for row in rows for name in (row.name, *row.aliases)}
    by_name: dict[str, Model] = {}
    left_out: dict[tuple[str, str], list[str]] = {}
    for model in known:
        if model.name in by_name:
            left_out.setdefault((by_name[model.name].provider, model.provider), []).append(model.name)
        else:
            by_name[model.name] = replace(model, aliases=tuple(alias for alias in model.aliases if alias not in taken))
    for (first, second), names in left_out.items():
        notes.append(f"{first} and {second} both offer {', '.join(names)}: {first} serves what is asked by that name.")
    models = []
    for row in rows:
        said: dict[str, Any] = {name: getattr(row, name) for name in row.model_fields_set}
        namesake = by_name.pop(row.name, None)
        same = namesake is not None and row.provider in (None, namesake.provider)
        base = namesake if namesake and same else Model(row.name, row.provider or "", row.name)
        if "context_window" in said and "max_output" not in said:
            said["max_output"] = min(base.max_output, row.context_window // 4)
        models.append(replace(base, **said))
    return [*models, *(model for model in by_name.values() if model.name not in taken)]


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{what} {name} is named {times} times in the file: keep one, or rename the others"


def _provider_problems(providers: Iterable[ProviderConfig]) -> Iterator[str]:
    for provider in providers:
        if provider.kind == "openai" and not provider.base_url and not provider.chat_url:
            yield f'[[providers]] {provider.name}: base_url is missing; write for example base_url = "https://.../v1"'
        if provider.kind != "gigachat" and (provider.scope or provider.auth_url):
            yield (
                f"[[providers]] {provider.name}: scope and auth_url belong to GigaChat; remove them, or write "
                'kind = "gigachat"'
            )
        if provider.kind == "gigachat" and not provider.api_key:
            yield (
                f"[[providers]] {provider.name}: api_key is missing; give the authorization key of the GigaChat "
                'project, best as api_key = "env:NAME"'
            )
        if provider.ca_bundle and not Path(provider.ca_bundle).is_file():
            where = "ca_bundle or GIGACHAT_CA_BUNDLE" if provider.kind == "gigachat" else "ca_bundle"
            yield f"[[providers]] {provider.name}: there is no file {provider.ca_bundle}; mend the path in {where}"


def _model_problems(models: Iterable[Model], providers: set[str]) -> Iterator[str]:
    for model in models:
        if not model.provider:
            yield f"[[models]] {model.name}: provider is missing; there are {', '.join(sorted(providers))}"
        elif model.provider not in providers:
            if model.provider in MAKES:
                fix = f"; set {MAKES[model.provider]}, or add a [[providers]] row of that name"
            else:
                fix = _meant(model.provider, providers)
            yield f"[[models]] {model.name}: {model.provider} is not a provider{fix}"
        if model.max_output >= model.context_window:
            yield (
                f"[[models]] {model.name}: max_output ({model.max_output}) leaves nothing of the context_window "
                f"({model.context_window}) for the prompt: lower the one or raise the other"
            )


def _reference_problems(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    for row in document.models:
        for fallback in row.fallbacks:
            if fallback not in names:
                yield f"[[models]] {row.name}: its fallback {fallback} is not a model{_meant(fallback, names)}"
            elif names[fallback] == row.name:
                yield f"[[models]] {row.name}: it is its own fallback; name another model"
    if document.default_model is not None and document.default_model not in names:
        fix = _meant(document.default_model, names)
        yield f"default_model (TELEFONIST_DEFAULT_MODEL): {document.default_model} is not a model{fix}"


def _kind_problems(models: Iterable[Model], names: Mapping[str, str], default_model: str) -> Iterator[str]:
    kinds = {model.name: model.kind for model in models}
    for model in models:
        for fallback in model.fallbacks:
            kind = kinds.get(names.get(fallback, ""), model.kind)
            if kind != model.kind:
                yield f"[[models]] {model.name}: its fallback {fallback} is of kind {kind}, not {model.kind}"
    if kinds.get(default_model) == "embedding":
        yield f"default_model (TELEFONIST_DEFAULT_MODEL): {default_model} makes embeddings; name a model of kind chat"


def _meant(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    meant = closest(name, names, cutoff=0.6)
    return f"; did you mean {meant}?" if meant else f"; there are {', '.join(names)}"


def _notes_on_providers(providers: Iterable[ProviderConfig], used: set[str]) -> Iterator[str]:
    for provider in providers:
        if provider.name not in used:
            where = provider.chat_url or provider.base_url or provider.kind
            yield (
                f"No model is known for provider {provider.name} ({where}): name at least one in telefonist.toml, "
                f'[[models]] with name = "...", provider = "{provider.name}" and its context_window.'
            )
