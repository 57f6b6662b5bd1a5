"""What a new installation starts with, read from the package's own files."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import yaml

from alerts_svc.domain.configuration import Configuration
from alerts_svc.domain.rule import Rule
from alerts_svc.wire.configuration import ConfigurationBody, configuration_of
from alerts_svc.wire.decoding import convert
from alerts_svc.wire.rules import RuleBody, rule_of


class _Rules(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[RuleBody]


def default_rules() -> tuple[Rule, ...]:
    """Return the rules of a new installation, in the order of the file."""
    return tuple(rule_of(given) for given in convert(_read("rules.yaml"), _Rules).rules)


def default_configuration() -> Configuration:
    """Return the configuration of a new installation, which has no channel but the console."""
    return configuration_of(convert(_read("configuration.yaml"), ConfigurationBody), ())


def _read(name: str) -> object:
    found: object = yaml.safe_load(
        files("alerts_svc").joinpath("defaults", name).read_text(encoding="utf-8")
    )
    return found
