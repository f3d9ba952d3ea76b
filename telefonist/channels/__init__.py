"""Outbound channels: how a message leaves the house."""
