"""Telling: the messages of one decision, one for each group and channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from alerts_svc.domain.alert import Alert, Change
from alerts_svc.domain.channel import Kind
from alerts_svc.domain.composing import News, Setting, compose, priority
from alerts_svc.domain.grouping import Free, begun, members
from alerts_svc.domain.holding import Holder
from alerts_svc.domain.message import MAX_ITEMS, Message
from alerts_svc.domain.routing import Destination, Router, labelled
from alerts_svc.domain.world import Group, World

# Incidents that one pager channel is told of in one tick; it takes each by itself.
MAX_PAGES = 100


@dataclass(frozen=True, slots=True)
class Told:
    """What goes out. ``channels`` and ``behind`` are by incident: those that are told now, and those that wait."""

    messages: tuple[Message, ...]
    groups: tuple[Group, ...]
    ended_groups: tuple[str, ...]
    channels: Mapping[str, Set[str]]
    behind: Mapping[str, Set[str]]


def tell(
    world: World,
    released: Sequence[Free],
    router: Router,
    holder: Holder,
    *,
    own: float,
    wall: float,
) -> Told:
    """Return the messages for what is released, which is sorted: the most important first."""
    telling = _Telling(world, router, holder, own=own, wall=wall)
    for free in released:
        telling.add(free)
    return telling.told()


class _Telling:
    """The messages of one decision in the making."""

    def __init__(
        self, world: World, router: Router, holder: Holder, *, own: float, wall: float
    ) -> None:
        self._world = world
        self._router = router
        self._holder = holder
        self._own = own
        self._wall = wall
        self._pages: Counter[str] = Counter()
        self._news: dict[tuple[str, str], list[News]] = {}
        self._labels: dict[str, tuple[tuple[str, str], ...]] = {}
        self._changing: set[str] = set()
        self._channels: dict[str, set[str]] = {}
        self._behind: dict[str, set[str]] = {}

    def add(self, free: Free) -> None:
        """Put one alert's news with those of its groups; a pager that has enough of them waits."""
        incident = free.news.incident
        quiet = free.catching_up or free.news.change is Change.ACKNOWLEDGED
        for destination, channel in self._targets(free):
            if self._is_full(channel, free.news.change):
                self._behind.setdefault(incident.id, set()).add(channel)
                continue
            self._labels[destination.key] = destination.labels
            self._channels.setdefault(incident.id, set()).add(channel)
            news = self._news.setdefault((destination.key, channel), [])
            news.append(_for_channel(free.news, channel))
            if not quiet:
                self._changing.add(destination.key)

    def told(self) -> Told:
        """Return the messages of all that was added."""
        messages = [
            message
            for (key, channel), news in self._news.items()
            for message in self._messages(key, channel, news)
        ]
        ended = self._ended() if self._resolves() else ()
        return Told(
            messages=tuple(messages),
            groups=tuple(
                replace(self._group(key), sent_at=self._own)
                for key in self._labels
                if key not in ended and (key in self._changing or key not in self._world.groups)
            ),
            ended_groups=tuple(key for key in ended if key in self._world.groups),
            channels=self._channels,
            behind=self._behind,
        )

    def _targets(self, free: Free) -> Iterator[tuple[Destination, str]]:
        wanted = self._wanted(free.news, catching_up=free.catching_up)
        reached = set()
        for destination in free.destinations:
            for channel in destination.channels:
                if wanted is None or channel in wanted:
                    reached.add(channel)
                    yield destination, channel
        if wanted is not None and not free.catching_up:
            # Who was told hears the end, wherever the routes lead by now.
            for channel in sorted(wanted - reached):
                yield free.destinations[0], channel

    def _wanted(self, news: News, *, catching_up: bool) -> frozenset[str] | None:
        """Return the channels that news is for, ``None`` for all that the routes say."""
        incident = news.incident
        if news.change is Change.RESOLVED:
            # The sender turns over to the fallback what is for a channel that was removed: its readers may be there now.
            return incident.channels
        if news.change is Change.ACKNOWLEDGED:
            return frozenset(name for name in incident.channels if self._is_pager(name))
        return incident.behind if catching_up else None

    def _is_pager(self, channel: str) -> bool:
        found = self._world.channels.get(channel)
        return found is not None and found.kind is Kind.PAGERDUTY

    def _is_full(self, channel: str, change: Change) -> bool:
        if change in (Change.RESOLVED, Change.ACKNOWLEDGED) or not self._is_pager(channel):
            return False
        self._pages[channel] += 1
        return self._pages[channel] > MAX_PAGES

    def _messages(self, key: str, channel: str, news: list[News]) -> Iterator[Message]:
        setting = Setting(
            channel=channel,
            group_key=key,
            group_labels=self._labels[key],
            thread=self._group(key).thread,
            first=key not in self._world.groups,
            own=self._own,
            wall=self._wall,
        )
        news.sort(key=priority)
        if self._is_pager(channel):
            for one in news:
                # What one incident waits for holds up no other one of the group.
                yield replace(compose(self._world, setting, [one], (), 0), queue=one.incident.id)
            return
        standing = self._standing(key, channel, news)
        shown = self._shown(standing, MAX_ITEMS - len(news))
        yield compose(self._world, setting, news, shown, len(standing))

    def _standing(self, key: str, channel: str, news: Sequence[News]) -> list[Alert]:
        """Return what still fires in the group without news, as far as the channel knows of it."""
        fresh = {one.alert.fingerprint for one in news}
        return [
            alert
            for alert in self._members.get(key, ())
            if alert.incident is not None
            and channel in alert.incident.channels
            and alert.fingerprint not in fresh
        ]

    def _shown(self, standing: list[Alert], room: int) -> list[Alert]:
        """Return those for which there is room, and take away from ``standing`` what is found to be suppressed."""
        shown: list[Alert] = []
        suppressed = set()
        for alert in standing:
            if len(shown) >= room:
                break
            if self._holder.suppressed(alert, labelled(alert)) is None:
                shown.append(alert)
            else:
                suppressed.add(alert.fingerprint)
        standing[:] = [alert for alert in standing if alert.fingerprint not in suppressed]
        return shown

    def _group(self, key: str) -> Group:
        return self._world.groups.get(key) or begun(key, own=self._own)

    def _resolves(self) -> bool:
        return any(one.change is Change.RESOLVED for news in self._news.values() for one in news)

    def _ended(self) -> frozenset[str]:
        """Return the groups that have nobody left: an episode of theirs is over."""
        left = set(self._members)
        for (key, _), news in self._news.items():
            if any(one.change is not Change.RESOLVED for one in news):
                left.add(key)
        return frozenset({*self._world.groups, *self._labels} - left)

    @cached_property
    def _members(self) -> Mapping[str, Sequence[Alert]]:
        return members(self._router, self._world.alerts.values())


def _for_channel(news: News, channel: str) -> News:
    """Return what news is to one channel: one that hears of an incident for the first time is told that it fired."""
    if news.change in (Change.RESOLVED, Change.ACKNOWLEDGED, Change.FIRED):
        return news
    return news if channel in news.incident.channels else replace(news, change=Change.FIRED)
