"""Run a function on a stranger's bytes in a process that the kernel confines."""
