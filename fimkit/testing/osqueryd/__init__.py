r"""A stand-in for osqueryd: a process that takes osqueryd's flags and behaves as osqueryd 5.23 was seen to, for tests without one.

Run it as one runs osqueryd (it needs the ``test`` extra, for apsw)::

    python -m fimkit.testing.osqueryd --config_path=osquery.conf --extensions_socket=/tmp/o.em --logger_path=/tmp/log \
        --disable_events=false --enable_file_events=true

It serves the Thrift interface that the ``osquery`` package speaks, SQL on virtual tables (those of extensions included),
``file_events`` by inotify with osquery's own blind spots, the schedule, and the result logs. A table that it lacks answers as on an
osqueryd that lacks it. The conformance tests hold it and a real osqueryd to the same behaviour.
"""

__all__: list[str] = []
