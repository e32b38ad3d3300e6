"""domstats without a URI, on a host whose libvirt is where it should be."""

from __future__ import annotations

import os
import sys

from hypervisor import Hypervisor


def test_no_uri_means_the_host_it_runs_on(hypervisor: Hypervisor) -> None:
    nothing_set = ("env", "-u", "DOMSTATS_URI", "-u", "LIBVIRT_DEFAULT_URI", f"PYTHONPATH={os.pathsep.join(sys.path)}")
    ours = hypervisor.inside(*nothing_set, sys.executable, "-m", "domstats", "get", "-f", "raw", "--state")
    assert ours == hypervisor.virsh("domstats", "--state")
