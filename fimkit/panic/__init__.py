"""Panic: the network is cut and comes back. Plans are pure; what acts takes the namespace that it may act in."""
