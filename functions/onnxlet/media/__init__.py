"""Bytes to pixels, arrays, text and rows, and back; knows no model."""
