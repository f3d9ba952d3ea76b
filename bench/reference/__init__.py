"""The least that a gateway for models does: what ours costs more is what it does more."""
