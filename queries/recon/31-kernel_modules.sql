-- Which kernel modules are loaded
-- Why: a rootkit in the kernel is a module (ATT&CK T1547.006), unless it has taken itself off this list.
-- Platform: linux
-- Source: osquery's schema, kernel_modules

SELECT name, size, used_by, status, address FROM kernel_modules;
