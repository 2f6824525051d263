"""What can be booted, and how each kind is put into a fresh machine."""
