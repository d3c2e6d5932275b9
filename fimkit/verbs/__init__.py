"""Floor 4: one file a verb; each wires sources to core."""
