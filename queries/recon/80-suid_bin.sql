-- Programs that run as their owner, whoever starts them
-- Why: a set-user-id copy of a shell is a way back to root that needs no running process (ATT&CK T1548.001).
-- Cost: walks the folders of programs: the slowest, so the last.
-- Platform: linux
-- Source: osquery's schema, suid_bin

SELECT path, username, groupname, permissions FROM suid_bin;
