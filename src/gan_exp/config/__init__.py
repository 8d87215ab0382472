"""From YAML and the command line to a checked configuration.

The schema (types and ranges) is in `schema.py`; which classes a YAML may name, and with which arguments, is in
`targets.py`; the sentences for mistakes are in `mistakes/`. `check.py` puts a configuration through all of them, and
`contradictions.py` names the settings that don't go together. `catalog.py` lists what can be configured, `overrides.py`
reads key=value, and `hydra_support.py` and `hydra_guard.py` adapt Hydra and restrict what it may load.
"""
