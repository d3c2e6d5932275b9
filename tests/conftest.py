"""What every test shares: how Hypothesis draws its examples."""

import os

from hypothesis import settings

__all__: list[str] = []

# No deadline: a loaded machine is slow, and slow is not wrong. In CI the same examples every time: a red run can be repeated.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
