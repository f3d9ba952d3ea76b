"""What may expire: rate limits, live events, dialog status, provider tokens."""
