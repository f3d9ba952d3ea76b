"""Every claim about speed and size comes from here."""
