"""Floor 2: kernel audit records and rules."""
