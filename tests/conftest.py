"""What every test may use.

Property tests try the same cases on every run, so that a green run stays green: what fails today was broken today.
`HYPOTHESIS_PROFILE=explore` looks for new ones; `make slow` does so.
"""

import os

from hypothesis import settings

settings.register_profile("repeat", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
