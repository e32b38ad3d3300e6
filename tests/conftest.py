"""What all tests share: the fixture plugins, and property tests that do not fail because the machine is busy."""

import signal

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("against_libvirt", "command", "live_page")
pytest_plugins = ["fix_libvirtd", "fix_prometheus", "fix_browser", "comparison"]

settings.register_profile("domstats", deadline=None)
settings.load_profile("domstats")

# A shell has what it starts in the background ignore Ctrl-C, which is inherited; tests send it to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
