"""Floor 2: what packages explain: the chain of proof from a pinned key over a signed index to a file's own bytes.

dpkg and apt: a key that was trusted when the baseline was taken → the Release file that it signed, in apt's lists → the Packages
index whose hash stands there → the cached archive whose hash stands there → the file in it, at this path. rpm: such a key → the
header that it signed, in rpm's database → the file's digest in it.

Everything else that a host says of its packages can be written by root. It chooses where to look and makes words, and no proof:
the status file, the lists of files, MD5 sums, diversions made since the baseline, alternatives, keyrings, source lists. What
maintainer scripts make is never proved. Archives that apt no longer has prove nothing either; the reasons say how to keep them.
"""
