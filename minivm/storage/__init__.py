"""Disks: images as arrays of sectors."""
