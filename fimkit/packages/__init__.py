"""Floor 2: what packages explain: the chain of proof from a pinned key over a signed index to a file's own bytes."""
