"""What can drift between documents and what they describe."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

import alerts_svc.settings
import flags_svc.settings
import metrics_svc.settings
from tests.fixtures.servers import REPOSITORY
from tests.suite.documents import markdown_files, section, table_rows, tracked_files
from windsock_embedded.settings import DEFAULT_PORTS, port_variable

DOCS = REPOSITORY / "docs"
PROJECTS = {
    path.parent.relative_to(REPOSITORY): tomllib.loads(path.read_text())
    for path in tracked_files()
    if path.name == "pyproject.toml"
}
MEMBERS = {folder: project for folder, project in PROJECTS.items() if folder != Path()}
SECTIONS = {
    Path("libs/windsock"): "The SDK (`libs/windsock`)",
    Path("libs/windsock-kit"): "The services' common library (`libs/windsock-kit`)",
    Path("metrics-svc"): "metrics-svc",
    Path("alerts-svc"): "alerts-svc",
    Path("flags-svc"): "flags-svc",
    Path("loadgen"): "loadgen",
    Path("loadgen/target/adaptive-questions"): "The reference workload (`adaptive-questions`)",
    Path("loadgen/target/llm-simulator"): "The simulator (`llm-simulator`)",
    Path("infra/windsock-embedded"): "The embedded stack (`infra/windsock-embedded`)",
}


def _names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", text) for text in requirements)
    return {match[0].lower().replace("_", "-") for match in found if match}


def _declared(member: dict[str, Any]) -> set[str]:
    project = member["project"]
    extras = project.get("optional-dependencies", {}).values()
    names = _names([*project["dependencies"], *(name for extra in extras for name in extra)])
    return names - {folder.name for folder in MEMBERS}


def _for_development() -> set[str]:
    groups = PROJECTS[Path()]["dependency-groups"].values()
    return _names([name for group in groups for name in group])


def _documented(heading: str) -> set[str]:
    rows = table_rows(section((DOCS / "dependencies.md").read_text(), heading))
    listed = (re.sub(r"\(.*?\)", "", row[0]).split(",") for row in rows)
    return {name.strip() for names in listed for name in names}


def _all_documented() -> set[str]:
    return {
        name for heading in [*SECTIONS.values(), "Development"] for name in _documented(heading)
    }


# The settings of each service whose README lists them: the fields of the class, and the variable of each.
SETTINGS = {
    "metrics-svc": (metrics_svc.settings.Settings, metrics_svc.settings.variable_of),
    "alerts-svc": (alerts_svc.settings.Settings, alerts_svc.settings.variable_of),
    "flags-svc": (flags_svc.settings.Settings, flags_svc.settings.variable_of),
}


@pytest.mark.parametrize("member", SETTINGS)
def test_the_settings_of_a_service_are_in_its_readme_with_their_defaults(member: str) -> None:
    settings, variable_of = SETTINGS[member]
    text = section((REPOSITORY / member / "README.md").read_text(), "Settings")
    written = {row[0].strip("`"): row[1].strip("`") for row in table_rows(text)}

    def spelled(default: object) -> str:
        if default is MISSING:
            return "required"
        return f"{default:g}" if type(default) is float and default < 1e5 else _whole(default)

    assert written == {variable_of(f.name): spelled(f.default) for f in fields(settings)}


def _whole(default: object) -> str:
    return str(int(default)) if isinstance(default, float) else str(default)


def test_every_setting_that_a_document_names_is_one() -> None:
    named = {
        name
        for path in markdown_files()
        for name in re.findall(r"\b(?:METRICS|ALERTS|FLAGS)_[A-Z0-9_]+", path.read_text())
    }

    known = {variable_of(f.name) for kind, variable_of in SETTINGS.values() for f in fields(kind)}
    assert named <= known


def test_every_benchmark_that_a_document_names_is_there() -> None:
    named = {
        name
        for path in markdown_files()
        for name in re.findall(r"(?:bench -- |benchmarks[./])(?!md\b)([a-z]\w*)", path.read_text())
    }

    assert [name for name in named if not (REPOSITORY / "benchmarks" / f"{name}.py").exists()] == []


def test_the_launcher_s_ports_are_in_the_readme_of_infra() -> None:
    rows = table_rows(
        section((REPOSITORY / "infra" / "README.md").read_text(), "The embedded stack")
    )
    written = [row for row in rows if row[0].endswith("-port`")]

    assert written == [
        [f"`--{name}-port`", f"`{port_variable(name)}`", str(port)]
        for name, port in DEFAULT_PORTS.items()
    ]


def test_every_decision_is_in_the_index_under_its_title() -> None:
    folder = DOCS / "decisions"
    index = (folder / "README.md").read_text()
    listed = {
        (file, title)
        for file, title in re.findall(r"^\| \[\d+\]\((\S+)\) \| (.*) \|$", index, re.MULTILINE)
    }

    titles = {
        (path.name, path.read_text().splitlines()[0].partition(": ")[2])
        for path in folder.glob("[0-9]*.md")
    }
    assert listed == titles


@pytest.mark.parametrize(
    "path", sorted(DOCS.glob("decisions/[0-9]*.md")), ids=lambda path: path.name
)
def test_a_decision_has_its_parts_on_one_page(path: Path) -> None:
    text = path.read_text()

    assert text.startswith(f"# {path.name[:4]}: ")
    assert re.search(r"^\*\*Status\*\*: (accepted|superseded by .+)$", text, re.MULTILINE)
    parts = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
    assert len(text.splitlines()) <= 60


def test_every_test_that_a_document_names_is_there() -> None:
    there = {path.name for path in tracked_files()}
    named = {
        (path.name, name)
        for path in markdown_files()
        for name in re.findall(r"`[^`\s]*?(test_\w+\.py)`", path.read_text())
    }

    assert {(path, name) for path, name in named if name not in there} == set()


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    declared = _for_development().union(*(_declared(member) for member in MEMBERS.values()))
    built_with = _names([n for m in MEMBERS.values() for n in m["build-system"]["requires"]])
    documented = _all_documented()
    patterns = [name for name in documented if "*" in name]

    unexplained = declared | built_with
    unexplained -= {name for name in unexplained if any(fnmatch(name, p) for p in patterns)}
    assert unexplained == documented - set(patterns)
    assert all(any(fnmatch(name, p) for name in declared) for p in patterns)


@pytest.mark.parametrize("folder", SECTIONS, ids=str)
def test_a_member_declares_what_is_explained_for_it(folder: Path) -> None:
    assert _documented(SECTIONS[folder]) <= _declared(MEMBERS[folder])


def test_the_sdk_has_no_dependency_but_those_of_its_extras() -> None:
    assert MEMBERS[Path("libs/windsock")]["project"]["dependencies"] == []


def test_the_changelog_has_its_form() -> None:
    title, *lines = (REPOSITORY / "CHANGELOG.md").read_text().splitlines()
    areas = {folder.name for folder in MEMBERS} | {"sdk", "kit", "infra", "docs", "build"}
    entry = re.compile(r"- \[(CHANGE|FEATURE|ENHANCEMENT|BUGFIX)\] ([a-z-]+): \S.*[^.]")

    assert title == "# Changelog"
    for line in filter(None, lines):
        if line.startswith("## "):
            assert re.fullmatch(r"## (main / unreleased|\d+\.\d+\.\d+ / \d{4}-\d\d-\d\d)", line)
        elif not line.startswith("  "):
            match = entry.fullmatch(line)
            assert match, line
            assert match[2] in areas, line


def test_the_readme_s_endpoints_are_in_the_contracts() -> None:
    paths: dict[str, dict[str, object]] = {}
    for name in ("metrics", "alerts", "flags"):
        contract = REPOSITORY / f"{name}-svc" / "src" / f"{name}_svc" / "openapi.yaml"
        paths |= yaml.load(contract.read_text(), Loader=yaml.CSafeLoader)["paths"]
    rows = table_rows(section((REPOSITORY / "README.md").read_text(), "What you can ask"))

    asked = [
        (method.lower(), re.findall(r"/\S+(?=`)", row[0])[0])
        for row in rows
        for method in re.findall(r"\b(?:GET|PUT|POST)\b", row[0])
    ]

    assert len(asked) > len(rows)
    assert [(method, path) for method, path in asked if method not in paths.get(path, {})] == []


def test_the_parts_of_the_architecture_are_folders_and_no_member_is_missing() -> None:
    rows = table_rows(section((DOCS / "architecture.md").read_text(), "Parts"))
    named = [folder for row in rows for folder in re.findall(r"`([\w./-]+)/`", row[0])]

    assert [folder for folder in named if not (REPOSITORY / folder).is_dir()] == []
    assert len(named) == len(set(named))
    assert [
        member for member in MEMBERS if not any(member.is_relative_to(folder) for folder in named)
    ] == []


REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|rubygems|crates|proxy\.golang)\.(?:org|com|io)\b"
)
PLACE = re.compile(r"(?<![\w./$}*-])/(?:home|Users|work|root|opt)/\w[\w.-]*")


def test_no_file_names_a_registry_or_a_place_on_somebody_s_machine() -> None:
    found = {}
    for path in tracked_files():
        text = path.read_bytes().decode(errors="replace")
        if named := [*REGISTRY.findall(text), *PLACE.findall(text)]:
            found[str(path.relative_to(REPOSITORY))] = named

    assert found == {}
