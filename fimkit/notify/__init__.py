"""Tells people: mail, syslog and webhook, side by side, and none of them waited for longer than its deadline."""
