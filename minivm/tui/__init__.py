"""The full-screen debugger, in Textual: one file a panel; the machine runs on its own thread (`session`)."""
