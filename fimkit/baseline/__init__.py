"""Floor 2: snapshots of file trees: scan, text form, differences."""
