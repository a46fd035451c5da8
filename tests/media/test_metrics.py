"""Prometheus' text, readable by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from media import metrics
from media.pacer import Lateness


def test_numbers_are_written_as_prometheus_reads_them() -> None:
    late = Lateness()
    late.add(0.002)
    text = metrics.render(
        [
            metrics.gauge("sessions", "calls", 3),
            metrics.counter("admitted", "calls let in", 7),
            *metrics.lateness("send_late", "how late", late),
        ],
        "host-1",
    )
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["waihu_media_sessions"].samples[0].value == 3
    assert families["waihu_media_sessions"].samples[0].labels == {"process": "host-1"}
    assert families["waihu_media_admitted"].type == "counter"
    quantiles = {
        sample.labels["quantile"]: sample.value for sample in families["waihu_media_send_late_seconds"].samples
    }
    assert set(quantiles) == {"0.5", "0.99", "0.999", "1"}
    assert 0.0019 < quantiles["1"] < 0.0022
