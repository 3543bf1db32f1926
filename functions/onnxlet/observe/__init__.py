"""What an operator sees: log, metrics, statistics and captured samples."""
