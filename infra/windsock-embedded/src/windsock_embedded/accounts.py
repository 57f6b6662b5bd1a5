"""Whom PostgreSQL runs as when the launcher is root, and where that user may read."""

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from windsock_embedded.errors import EmbeddedError
from windsock_embedded.processes import Account

# In the data directory: where PostgreSQL's files are, if they are elsewhere.
PLACE_RECORD = "postgres.place"
_UNPRIVILEGED = ("postgres", "nobody", "daemon")
_READABLE_PARENTS = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108  a 0700 folder of our own


def unprivileged_account(data_dir: Path) -> Account | None:
    """Return the account for PostgreSQL: ``None`` when we are not root and need no other.

    Existing data decides: it is opened as whoever owns it.
    """
    if os.geteuid() != 0:
        return None
    recorded = data_dir / PLACE_RECORD
    place = Path(recorded.read_text().strip()) if recorded.exists() else data_dir / "postgres"
    if place.is_dir() and (owner := place.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root and there is no user"
        f" {' or '.join(_UNPRIVILEGED)} to run it as: start Windsock as an ordinary user"
    )


def own_names() -> tuple[str, str]:
    """Return the names of our user and group, which nginx wants when it starts as root."""
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


def may_reach(account: Account | None, path: Path) -> bool:
    """Try, as ``account``, whether a folder can be entered; ACLs and mounts count too."""
    if account is None:
        return True
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd / && test -x "$1"', "sh", str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[account.gid],
        cwd="/",
        check=False,
    )
    return tried.returncode == 0


def readable_place(data_dir: Path, account: Account | None) -> Path:
    """Return a folder for PostgreSQL's files that ``account`` can reach, and make it.

    That is inside ``data_dir`` where possible. A data directory under /root, say,
    gets a folder elsewhere, named by a hash of its path so that it is found again.
    """
    inside = data_dir / "postgres"
    recorded = data_dir / PLACE_RECORD
    if recorded.exists():
        return _recorded(Path(recorded.read_text().strip()), recorded, account)
    if may_reach(account, data_dir):
        return _make(inside, account)
    if inside.exists():
        raise EmbeddedError(
            f"the user that PostgreSQL runs as may not enter {data_dir} any more:"
            " let other users pass through the folders above it, or start Windsock as their owner"
        )
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    name = f"windsock-{digest}"
    for parent in _READABLE_PARENTS:
        if (parent / name).is_dir() and may_reach(account, parent):
            return _make(parent / name, account)
    for parent in _READABLE_PARENTS:
        if parent.is_dir() and os.access(parent, os.W_OK) and may_reach(account, parent):
            return _make(parent / name, account)
    tried = ", ".join(str(parent) for parent in _READABLE_PARENTS)
    raise EmbeddedError(
        f"the user that PostgreSQL runs as can read neither {data_dir} nor {tried}:"
        " choose a data directory that other users may enter (--data-dir)"
    )


def _recorded(place: Path, record: Path, account: Account | None) -> Path:
    """Return the folder of an earlier start, which holds the data wherever we would put it now."""
    if not place.is_dir() or not may_reach(account, place.parent):
        raise EmbeddedError(
            f"{record} says that the database is in {place}, which cannot be entered:"
            " bring it back, or remove that file to start with an empty database"
        )
    return _make(place, account)


def _make(place: Path, account: Account | None) -> Path:
    """Make ``place`` private to ``account``; refuse a folder that somebody else planted."""
    wanted = account.uid if account else os.geteuid()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = place.lstat()
    if place.is_symlink() or info.st_uid not in {wanted, os.geteuid()}:
        raise EmbeddedError(f"{place} belongs to another user: remove it, or choose --data-dir")
    if account:
        os.chown(place, account.uid, account.gid)
    place.chmod(0o700)
    return place


def copy_bundle(bundle: Path, place: Path, account: Account) -> Path:
    """Put a wheel's PostgreSQL into ``place`` and return the folder of its programs.

    Its libraries lie two levels up in ``<package>.libs`` and are found by a
    relative path, so the layout is kept.
    """
    package = bundle.parent
    stamp = f"{bundle.stat().st_mtime_ns}\n{bundle}\n"
    final = place / "bundle"
    stamp_file = final / "copied-from"
    if not stamp_file.exists() or stamp_file.read_text() != stamp:
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            part = Path(scratch) / "bundle"
            _copy(bundle, part / package.name / bundle.name)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                _copy(libraries, part / libraries.name)
            (part / "copied-from").write_text(stamp)
            for folder in [part, *(path for path in part.rglob("*") if path.is_dir())]:
                folder.chmod(0o700)
                os.chown(folder, account.uid, account.gid)
            shutil.rmtree(final, ignore_errors=True)
            part.rename(final)
    return final / package.name / bundle.name / "bin"


def _copy(source: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(source, target, ignore=ignored, symlinks=True, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    """Give a file a second name where everybody may read it; copy it where not."""
    mode = Path(source).stat().st_mode
    if mode & stat.S_IROTH:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
