"""The osquery version whose behaviour the stand-in has. Pure."""

__all__ = ["VERSION"]

VERSION = "5.23.1"
