"""The VGA: `card` is the chip with its ports; the other modules are its blocks, which only `card` puts together."""
