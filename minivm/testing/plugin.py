"""The pytest plugin that an installed MiniVM brings."""
