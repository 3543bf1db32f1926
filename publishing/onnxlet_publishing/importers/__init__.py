"""Importers: each recognizes one kind of model that a user brings and writes its declarations."""
