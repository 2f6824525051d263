"""Looking inside: assembling and disassembling code, inspecting tables."""
