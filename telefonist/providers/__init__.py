"""Upstream models: one file for each wire protocol; a compatible upstream is a row, not a class."""
