-- Kernel settings that run programs or take protections away
-- Why: core_pattern and modprobe name programs that the kernel runs as root; the others weaken it when they are set.
-- Platform: linux
-- Source: osquery's schema, system_controls; core(5)

SELECT name, current_value, config_value
FROM system_controls
WHERE name IN ('kernel.core_pattern', 'kernel.modprobe', 'kernel.hotplug', 'kernel.modules_disabled',
               'kernel.randomize_va_space', 'kernel.yama.ptrace_scope', 'kernel.kptr_restrict', 'kernel.dmesg_restrict',
               'fs.suid_dumpable', 'net.ipv4.ip_forward');
