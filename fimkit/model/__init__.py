"""Floor 1: records, changes, findings, configuration, errors, time. Standard library only. Pure."""
