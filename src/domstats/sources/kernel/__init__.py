"""The host's own numbers for every QEMU guest, `kernel:///`: from /proc and /sys, without asking any monitor.

uri          what a URI's parameters may be
figures      reading the few numbers needed out of the kernel's texts
cgroups      where the kernel accounts for a domain's processor time
threads      which of a process's threads are vCPUs
taps         which network devices a process has open
devices      the counters of network devices, by network namespace
kvm_stats    KVM's statistics, through the descriptors that QEMU keeps open; kvm, those of one guest
descriptors  how many files may be held open, and the files of one guest
keys         the shape of a record, and where in it each figure goes
guest        one guest: what is known of it, and reading its figures
host         all of them: who comes and goes, and a poll
rights       what cannot be had, and why
source       KernelSource: a host as a source
"""
