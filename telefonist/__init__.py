"""Telefonist: a switchboard between people, programs, language models and operators."""

from importlib.metadata import version

__version__ = version("telefonist")
