"""What the service counts, for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds


class Metrics:
    """What the service counts; each service has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "d2l_autorec_requests",
            "Requests answered",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "d2l_autorec_request_seconds",
            "Time to answer, waiting included",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.open = Gauge(
            "d2l_autorec_requests_open", "Requests begun and not answered", registry=self.registry
        )
        self.loads = Counter(
            "d2l_autorec_model_loads", "Models tried", ["outcome"], registry=self.registry
        )
        self.since = Gauge(
            "d2l_autorec_model_loaded_timestamp_seconds",
            "When the model was loaded",
            registry=self.registry,
        )
        self.model = Info("d2l_autorec_model", "The model in service", registry=self.registry)
        for outcome in ("loaded", "refused"):
            self.loads.labels(outcome)

    def loaded(self, about: dict[str, Any]) -> None:
        """Note that a model has been put into service; see `schemas.About`."""
        self.loads.labels("loaded").inc()
        self.since.set_to_current_time()
        names = ("model", "users", "items", "ratings", "networks")
        self.model.info({name.replace("model", "digest"): str(about[name]) for name in names})
