"""What a person sees in the terminal: the live display, previews, tables, pictures."""
