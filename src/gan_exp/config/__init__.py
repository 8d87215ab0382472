"""From YAML and the command line to a checked configuration, and the sentences for mistakes."""
