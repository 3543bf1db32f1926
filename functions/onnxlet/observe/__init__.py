"""Observability for operators: log, traces, statistics and captured samples."""
