"""The registers of the FPU and SSE by GDB's names, with Unicorn's number and the size in bytes of each."""

RAW_REGISTERS: dict[str, tuple[int, int]] = {
    **{f"st{index}": (114 + index, 10) for index in range(8)},
    **{f"xmm{index}": (122 + index, 16) for index in range(16)},
    "mxcsr": (249, 4), "fctrl": (246, 2), "fstat": (31, 2), "ftag": (247, 2), "fiseg": (255, 2), "fioff": (254, 4),
    "foseg": (257, 2), "fooff": (256, 4), "fop": (258, 2),
}  # fmt: skip
