"""The 82077AA floppy disk controller: its ports and phases, its moving heads, its data, and the drives behind it."""
