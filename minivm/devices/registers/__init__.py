"""The chips' registers as data, one file a chip, under the chip's own name; loaded only by who explains."""
