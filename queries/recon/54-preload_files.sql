-- The files that make every program load a library
-- Why: /etc/ld.so.preload is how rootkits in user space hide (ATT&CK T1574.006); most hosts do not have it.
-- Platform: linux
-- Source: osquery's schema, file; ld.so(8)

SELECT path, uid, gid, mode, size, inode, mtime, ctime
FROM file
WHERE path IN ('/etc/ld.so.preload', '/etc/ld.so.conf') OR path LIKE '/etc/ld.so.conf.d/%';
