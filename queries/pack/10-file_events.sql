-- What changed under the watched paths, as inotify tells it: one row an event
-- Why: says that a file changed, when, and often its new hash; fimkit joins the who from the audit records. Rows of all
--   categories are taken: where a category of the site's own watches the same folder, it alone gets that folder's events.
-- Cost: nothing until something changes; then one row an event, and SHA-256 of each file that is created or written.
-- Platform: linux
-- Version: 4.0.0
-- Removed: no
-- Source: osquery's schema, file_events

SELECT action, target_path, category, time, transaction_id, inode, mode, uid, gid, size, atime, mtime, ctime, hashed, sha256
FROM file_events;
