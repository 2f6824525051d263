"""The panels, one file each; `minivm.tui.app` lists them."""
