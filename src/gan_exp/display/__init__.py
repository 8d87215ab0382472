"""The terminal: live display, previews, tables and pictures."""
