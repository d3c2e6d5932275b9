"""fimkit: what changed, who did it, is it explained, and what do we do now."""

__all__ = ["__version__"]

__version__ = "0.1.0"
