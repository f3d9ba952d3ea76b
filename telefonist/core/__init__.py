"""What the product means: no HTTP, no SQL, no SDK."""
