"""What the service counts, for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds


class Metrics:
    """What the service counts; each service has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        kept: dict[str, Any] = {"namespace": "d2l_autorec", "registry": self.registry}
        self.requests = Counter("requests", "Requests answered", ["route", "status"], **kept)
        self.seconds = Histogram(
            "request_seconds",
            "Time to answer, waiting included",
            ["route"],
            buckets=_BUCKETS,
            **kept,
        )
        self.open = Gauge("requests_open", "Requests begun and not answered", **kept)
        self.loads = Counter("model_loads", "Models tried", ["outcome"], **kept)
        self.since = Gauge("model_loaded_timestamp_seconds", "When the model was loaded", **kept)
        self.model = Info("model", "The model in service", **kept)
        for outcome in ("loaded", "refused"):
            self.loads.labels(outcome)

    def loaded(self, about: dict[str, Any]) -> None:
        """Note that a model has been put into service; see `schemas.About`."""
        self.loads.labels("loaded").inc()
        self.since.set_to_current_time()
        names = ("model", "users", "items", "ratings", "networks")
        self.model.info({name.replace("model", "digest"): str(about[name]) for name in names})
