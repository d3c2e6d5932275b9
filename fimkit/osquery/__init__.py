"""Floor 2: osquery results."""
