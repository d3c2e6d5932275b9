"""Floor 2: the store of baselines, changes, findings and positions in logs."""
