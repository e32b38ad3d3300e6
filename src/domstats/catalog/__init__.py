"""What each statistic means: type, unit, kind, help, and since when. The one place that knows libvirt's names."""
