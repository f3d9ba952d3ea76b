"""How the detectors of a wish for a person, and of a bot that cannot help, read a text."""
