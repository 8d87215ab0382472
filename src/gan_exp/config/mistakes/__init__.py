"""Sentences for mistakes: each names the key, the value and the remedy.

An unknown key or option (`unknown.py`, with the names that others use in `synonyms.py`), a value that doesn't fit the
schema (`values.py`), what Hydra raised (`hydra_errors.py`), and words that are no key=value (`command_line.py`).
"""
