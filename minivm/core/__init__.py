"""What every machine is made of: memory, buses, the clock, and the protocols that devices meet."""
