"""Objects and messages in, result objects out."""
