"""The contracts of the PC's chips, one file a chip; `minivm.testing.contract.contracts` finds them by itself."""
