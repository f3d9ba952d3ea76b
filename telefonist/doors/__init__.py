"""Doors: from the wire to the core and back; no business rule lives here."""
