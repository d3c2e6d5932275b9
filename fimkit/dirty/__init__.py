"""Floor 2: which paths may have changed, told by the kernel's file notification, without a who."""
