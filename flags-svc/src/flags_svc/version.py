"""The version of the service, as installed."""

from importlib.metadata import version

VERSION = version("flags-svc")
