-- Shared memory segments with owner, maker and last user
-- Why: System V segments live without a file and outlive their maker; implants pass data by them.
-- Platform: linux
-- Source: osquery's schema, shared_memory

SELECT shmid, owner_uid, creator_uid, pid, creator_pid, atime, dtime, ctime, permissions, size, attached, status
FROM shared_memory;
