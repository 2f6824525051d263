"""MiniVM: an educational x86 hypervisor and emulator."""
