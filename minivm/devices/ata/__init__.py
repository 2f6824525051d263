"""ATA: a channel with its two drives, the hard disk, the CD-ROM drive and the bus master, which are one cable apart."""
