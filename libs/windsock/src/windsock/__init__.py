"""Measure an LLM application: latency, errors, cost, quality and caches, for a Windsock suite."""

from windsock.collector import MetricsCollector
from windsock.counters import Stats
from windsock.flags.client import FeatureFlags
from windsock.flags.evaluation import Evaluation
from windsock.flags.explaining import Explanation
from windsock.flags.source import FlagsStatus
from windsock.nodes import track_node
from windsock.process import close, configure, flush, get_feature_flags, get_metrics_collector
from windsock.settings import Settings
from windsock.tracking import context, track_performance

__all__ = [
    "Evaluation",
    "Explanation",
    "FeatureFlags",
    "FlagsStatus",
    "MetricsCollector",
    "Settings",
    "Stats",
    "close",
    "configure",
    "context",
    "flush",
    "get_feature_flags",
    "get_metrics_collector",
    "track_node",
    "track_performance",
]
