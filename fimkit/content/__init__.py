"""Floor 2: what stands in files: rules of two kinds, and the reading of hostile files in a process with few rights.

A caller opens files (:mod:`fimkit.content.walk`, :mod:`fimkit.content.reader`) and hands the descriptors to processes that may
do nothing but read what they are handed (:mod:`fimkit.content.pool`, :mod:`fimkit.content.confine`). Those search
(:mod:`fimkit.content.scan`, pure) with rules that the caller loaded (:mod:`fimkit.content.rule_files`) and answer with hits.

A rule folder has YARA files (``*.yar``, ``*.yara``) and keyword files (``*.toml``). A YARA rule's meta may say ``description``,
``severity`` (info, suspect or critical; suspect where it does not) and ``attack`` (an ATT&CK technique); its condition may ask
the variables ``filename``, ``filepath`` and ``extension`` (with its dot), as other scanners define them.
"""
