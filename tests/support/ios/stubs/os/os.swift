// <os/proc.h>
public func os_proc_available_memory() -> Int { 0 }
