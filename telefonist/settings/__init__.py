"""The only reader of the environment and of telefonist.toml."""

from telefonist.settings.loading import load_settings
from telefonist.settings.schema import DeliverySettings, Limits, LogSettings, Settings, WebhookDoor
from telefonist.settings.secret import read_or_make_secret

__all__ = [
    "DeliverySettings",
    "Limits",
    "LogSettings",
    "Settings",
    "WebhookDoor",
    "load_settings",
    "read_or_make_secret",
]
