-- What is mounted where
-- Why: a mount hides what lies below it; a temporary file system is gone at a shutdown.
-- Platform: linux
-- Source: osquery's schema, mounts

SELECT device, path, type, flags, blocks_size, blocks, blocks_free FROM mounts;
