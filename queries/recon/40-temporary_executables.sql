-- Executable files in folders that everyone can write to
-- Why: tools are put there first; a shutdown empties these folders.
-- Cost: walks these three trees.
-- Platform: linux
-- Source: osquery's schema, file; %% is every folder below

SELECT path, uid, gid, mode, size, inode, mtime, ctime, btime
FROM file
WHERE (path LIKE '/tmp/%%' OR path LIKE '/var/tmp/%%' OR path LIKE '/dev/shm/%%')
  AND type = 'regular' AND substr(mode, -3) GLOB '*[1357]*';
