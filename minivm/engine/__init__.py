"""CPU engines: what executes guest code, and how interrupts reach it."""
