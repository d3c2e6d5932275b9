-- Hidden names directly in folders that everyone can write to
-- Why: a name that begins with a dot is the oldest way not to be listed (ATT&CK T1564.001).
-- Platform: linux
-- Source: osquery's schema, file

SELECT path, type, uid, gid, mode, size, mtime, ctime
FROM file
WHERE (path LIKE '/tmp/.%' OR path LIKE '/var/tmp/.%' OR path LIKE '/dev/shm/.%')
  AND filename NOT IN ('', '.', '..');
