"""Holds a history against what the service promises. Pure: it sees nothing of the service but what it did.

Each check returns what is wrong, one line each. What it allows, and why, stands in its description.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from alerts_svc.domain.alert import Change
from tests.alerts_svc.simulation.facts import Facts, lowest
from tests.alerts_svc.simulation.history import (
    Arrived,
    Attempted,
    Closed,
    Committed,
    Decided,
    Direct,
    Disabled,
    Fault,
    GivenUp,
    History,
    PutOff,
    Queued,
    Silenced,
    Stepped,
    Taken,
)

# A tick and what it waits for: nothing that was measured is older than this when it is committed.
LOOK_SECONDS = 12.0
LATEST_SECONDS = 120.0
# A fault this long is more than the promise of ``LATEST_SECONDS`` covers.
SHORT_FAULT_SECONDS = 60.0
# Without any trouble; the slowest channel takes one message a second.
PROMPT_SECONDS = 15.0
# Before it, so that what waits for the next attempt has been made up for.
CALM_SECONDS = 130.0
STEP_SECONDS = 15.0
# After these nobody may have been there to see the database's clock being set.
_BLINDING = frozenset({"power", "crash", "store_down", "store_slow"})


def check(history: History) -> list[str]:
    """Return all that is wrong with a history."""
    facts = Facts(history)
    return [f"{name}: {line}" for name, rule in CHECKS.items() for line in rule(facts)]


def breaches_fire(facts: Facts) -> Iterator[str]:
    """I1, first half: a breach that is held for the rule's ``for`` opens an incident.

    Asked of breaches in which the service was undisturbed for that long and two looks more, while nobody changed the rule or
    closed an incident of it.
    """
    closed = [event.at for event in facts.all(Closed)]
    for fingerprint, key in facts.history.alerts.items():
        for begin, end in _breaches(facts, key):
            rule = facts.rule(key[0], begin)
            if rule is None or facts.changed(key[0], begin - 5.0, end):
                continue
            due = _undisturbed(facts, begin, end, rule.for_seconds + 2 * LOOK_SECONDS)
            if due is None or any(begin - LOOK_SECONDS <= at <= due for at in closed):
                continue
            if not any(facts.open_at(one, due) for one in facts.incidents.get(fingerprint, ())):
                yield f"{key} was in breach from {begin:.3f} and has no incident at {due:.3f}"


def _breaches(facts: Facts, key: tuple[str, str]) -> Iterator[tuple[float, float]]:
    """Yield the stretches in which a rule's lowest threshold was passed without a break."""
    since: float | None = None
    for begin, _, value in facts.levels.get(key, ()):
        rule = facts.rule(key[0], begin)
        passed = rule is not None and rule.enabled and value is not None and value > lowest(rule)
        if passed and since is None:
            since = begin
        elif not passed and since is not None:
            yield since, begin
            since = None


def _undisturbed(facts: Facts, begin: float, end: float, seconds: float) -> float | None:
    """Return when the service had been undisturbed for so long within a stretch, ``None`` if it never was."""
    since = begin
    for fault in sorted(facts.faults, key=lambda fault: fault.at):
        if fault.channel is None and fault.until > since:
            if fault.at - since >= seconds:
                break
            since = fault.until
    return since + seconds if since + seconds <= end else None


def incidents_are_told_or_held(facts: Facts) -> Iterator[str]:
    """I1, second half: with an incident come its messages, or the reason why there are none.

    Both stand in the commit that opens it. By the end each is told on every channel that was in use, or there is a decision
    not to tell it.
    """
    queued: dict[str, list[Queued]] = defaultdict(list)
    for message in facts.queued.values():
        for telling in message.tellings:
            queued[telling.incident].append(message)
    decided: dict[str, list[Decided]] = defaultdict(list)
    for decision in facts.all(Decided):
        decided[decision.incident].append(decision)
    disabled = {event.channel for event in facts.all(Disabled)}
    direct = _told_directly(facts)
    for incident, made in facts.transitions.items():
        if incident in direct:
            continue
        commit = made[0].commit
        at_once = {message.channel for message in queued[incident] if message.commit == commit}
        reasons = {decision.outcome for decision in decided[incident] if decision.commit == commit}
        wanted = {*facts.history.channels, "console"} - disabled
        if at_once and not wanted <= at_once:
            yield f"incident {incident} is told to {sorted(at_once)} only, not to {sorted(wanted)}"
        if not at_once and not reasons & {"held", "not_told"}:
            yield f"incident {incident} is neither told nor held at {made[0].at:.3f}"
        if not queued[incident] and "not_told" not in {one.outcome for one in decided[incident]}:
            yield f"incident {incident} was never told, and nothing says why"


def _told_directly(facts: Facts) -> set[str]:
    """Return the incidents that were told without the store; the store learns of them later."""
    return {telling.incident for told in facts.direct.values() for telling in told.tellings}


def messages_arrive_in_time(facts: Facts) -> Iterator[str]:
    """I2: what is to be told arrives within two minutes, and without any trouble promptly.

    Trouble is that of the service and of the channel itself, not of another channel: one that fails delays no other. Two
    minutes hold for trouble shorter than one minute; what led to a long wait may have begun before the message.
    """
    given_up = {event.id for event in facts.all(GivenUp)}
    for message in facts.queued.values():
        if message.id in given_up:
            continue
        arrived = min(facts.arrivals.get(message.id, ()), default=facts.history.ended_at)
        took = arrived - message.at
        begin = message.at - CALM_SECONDS
        if took > PROMPT_SECONDS and not facts.trouble(begin, arrived, message.channel):
            yield f"{message.id} took {took:.1f} s on {message.channel} without any trouble"
        elif took > LATEST_SECONDS:
            latest = message.at + LATEST_SECONDS
            if facts.trouble(begin, latest, message.channel) < SHORT_FAULT_SECONDS:
                yield f"{message.id} took {took:.1f} s on {message.channel}"


def each_transition_is_told_once(facts: Facts) -> Iterator[str]:
    """I3, first half: on one channel no two messages tell the same transition, and all of them are true.

    What stands in for another channel's message repeats its items under an id of its own, and is left out here.
    """
    made = {(one.incident, one.sequence) for one in facts.all(Committed)}
    told: dict[tuple[str, str, int], str] = {}
    for message in facts.queued.values():
        for telling in () if message.instead else message.tellings:
            if (telling.incident, telling.sequence) not in made:
                yield f"{message.id} tells of {telling}, which never was"
            key = (message.channel, telling.incident, telling.sequence)
            other = told.setdefault(key, message.id)
            if other != message.id:
                yield f"{message.id} and {other} both tell {key}"
    for event in facts.all(Arrived):
        if event.id not in facts.queued and event.id not in facts.direct:
            yield f"{event.id} arrived on {event.channel} and was never in the outbox"


def copies_have_a_cause(facts: Facts) -> Iterator[str]:
    """I3, second half: a message arrives again only after something that leaves open whether it had arrived.

    Such are each crash, pause, change of the owner and failure of the store while it was being delivered, and each
    attempt of which the sender could not know how it ended. A process that ends in order is none of them.
    """
    takeovers = [event.at for event in facts.all(Taken)]
    attempts: dict[str, list[Attempted]] = defaultdict(list)
    for event in facts.all(Attempted):
        attempts[event.id].append(event)
    for message, arrivals in facts.arrivals.items():
        if len(arrivals) == 1:
            continue
        begin, end = min(arrivals) - 20.0, max(arrivals)
        causes = sum(
            fault.at <= end and fault.until >= begin
            for fault in _own_faults(facts)
            if fault.kind != "restart"
        )
        causes += sum(begin <= at <= end for at in takeovers)
        causes += sum(one.outcome in ("lost", "reset") for one in attempts[message])
        if len(arrivals) - 1 > causes:
            yield f"{message} arrived {len(arrivals)} times with {causes} causes"


def _own_faults(facts: Facts) -> list[Fault]:
    return [fault for fault in facts.faults if fault.channel is None]


def arrivals_are_in_order(facts: Facts) -> Iterator[str]:
    """I4: on one channel the first arrivals of what tells of one incident are in the order of its transitions."""
    latest: dict[tuple[str, str], int] = {}
    seen: set[str] = set()
    for event in facts.all(Arrived):
        message = facts.queued.get(event.id)
        if message is None or event.id in seen or message.instead:
            continue
        seen.add(event.id)
        for telling in message.tellings:
            key = (event.channel, telling.incident)
            if telling.sequence <= latest.get(key, 0):
                yield f"{event.id} tells {telling.sequence} of {key} after {latest[key]}"
            latest[key] = telling.sequence


def incidents_have_a_breach(facts: Facts) -> Iterator[str]:
    """I5: an incident opens only if the rule was in breach, for as long as it asks, and closes only if it was clear.

    What was true a moment before the commit counts, for as long as a look may take, or the process was held up. Within
    that time a breach or its end may pass unseen. Lack of data neither opens (unless the rule says so) nor closes.
    """
    for incident, made in facts.transitions.items():
        key = facts.history.alerts.get(made[0].fingerprint)
        if key is None:
            continue
        for one in made:
            if one.change is Change.FIRED and not _may_fire(facts, key, one):
                yield f"incident {incident} of {key} fired at {one.at:.3f} without a breach"
            if one.change is Change.RESOLVED and not one.reason and not _may_end(facts, key, one):
                yield f"incident {incident} of {key} was resolved at {one.at:.3f} and is not over"


def _may_fire(facts: Facts, key: tuple[str, str], fired: Committed) -> bool:
    rule = facts.rule(key[0], fired.at)
    if rule is None:
        return False
    slack = _slack(facts, fired.at)
    recent = list(facts.between(key, fired.at - slack, fired.at))
    if fired.reason == "no_data":
        return any(value is None for _, _, value in recent)
    changed = facts.changed(key[0], fired.at - slack, fired.at)
    if not changed and not any(value is not None and value > lowest(rule) for *_, value in recent):
        return False
    # Lack of data for less than the rule's patience does not end a breach, nor does what no look has seen.
    since = fired.at - max(0.0, rule.for_seconds - slack)
    return not any(
        value is not None and value <= lowest(rule) and end - begin > slack
        for begin, end, value in facts.between(key, since, fired.at - slack)
    )


def _may_end(facts: Facts, key: tuple[str, str], resolved: Committed) -> bool:
    rule = facts.rule(key[0], resolved.at)
    slack = _slack(facts, resolved.at)
    if rule is None or facts.changed(key[0], resolved.at - slack, resolved.at):
        return True
    recent = facts.between(key, resolved.at - slack, resolved.at)
    if not any(value is not None and value <= lowest(rule) for *_, value in recent):
        return False
    since = resolved.at - max(0.0, rule.keep_firing_seconds - slack)
    return not any(
        value is not None and value > lowest(rule) and end - begin > slack
        for begin, end, value in facts.between(key, since, resolved.at - slack)
    )


def _slack(facts: Facts, at: float) -> float:
    """Return how old what was measured may be when it is committed at a time: a process may have stood still."""
    longest = LOOK_SECONDS
    for fault in _own_faults(facts):
        if fault.at <= at <= fault.until + LOOK_SECONDS:
            longest = max(longest, at - fault.at + LOOK_SECONDS)
        if fault.kind == "resume" and fault.at <= at <= fault.until + LOOK_SECONDS:
            longest = max(longest, LOOK_SECONDS + 60.0)
    return longest


def fires_end_in_resolves(facts: Facts) -> Iterator[str]:
    """I6: who was told that something fired is told that it is over.

    Of a message that its channel could not take at all, the one that stands in for it on the console counts; of one that was
    sent without the store the attempt. A channel that was taken out of use may miss it.
    """
    if not facts.history.drained:
        yield "something is still open or waits, long after all was well"
    instead = {
        event.id: event.instead for event in facts.all(GivenUp) if event.channel != "console"
    }
    fired: dict[tuple[str, str], float] = {}
    resolved: set[tuple[str, str]] = set()
    messages: list[Queued | Direct] = [*facts.queued.values(), *facts.direct.values()]
    for message in messages:
        if not _reached(facts, message.id, instead):
            continue
        for telling in () if message.instead else message.tellings:
            key = (message.channel, telling.incident)
            if telling.change is Change.RESOLVED:
                resolved.add(key)
            else:
                fired.setdefault(key, message.at)
    disabled = {event.channel for event in facts.all(Disabled)}
    for channel, incident in sorted(fired.keys() - resolved):
        if channel not in disabled:
            yield f"{channel} was told of incident {incident} and never of its end"


def _reached(facts: Facts, message: str, instead: dict[str, tuple[str, ...]]) -> bool:
    others = instead.get(message, ())
    refused = message in facts.direct and message in facts.refused
    return message in facts.arrivals or refused or any(one in facts.arrivals for one in others)


def fires_keep_the_cooldown(facts: Facts) -> Iterator[str]:
    """I7: one alert is not told as fired twice within its rule's cooldown, unless it is worse than the last time.

    Counted in the service's own time, of the decisions to tell; where people have changed the rule meanwhile it is not asked.
    """
    last: dict[str, Decided] = {}
    for event in facts.all(Decided):
        key = facts.history.alerts.get(event.fingerprint)
        if event.outcome != "told" or event.change is not Change.FIRED or key is None:
            continue
        before = last.get(event.fingerprint)
        last[event.fingerprint] = event
        rule = facts.rule(key[0], event.at)
        if before is None or rule is None or facts.changed(key[0], before.at, event.at):
            continue
        if event.severity > before.severity or event.incident == before.incident:
            continue
        if event.own - before.own < rule.cooldown_seconds - 0.001:
            yield f"{key} was told at {before.at:.3f} and again at {event.at:.3f}"


def own_time_does_not_step(facts: Facts) -> Iterator[str]:
    """Its own time passes as the true one does, whatever is done to the database's clock.

    While one owner acts it is exact but for what a commit takes. Who takes the lease over may be wrong by a step of the clock
    that it could not see: it had just started, or could not reach the store, and nobody had renewed the lease since.
    """
    latest: tuple[float, float] | None = None
    steps = facts.all(Stepped)
    for event in facts.all(Decided):
        if latest is not None:
            at, own = latest
            off = abs((event.own - own) - (event.at - at))
            allowed = LOOK_SECONDS + facts.trouble(at - 60.0, event.at)
            unseen = any(
                fault.kind in _BLINDING and at - 60.0 <= fault.at <= event.at
                for fault in facts.faults
            ) and any(at - 120.0 <= step.at <= event.at for step in steps)
            if off > allowed and not unseen:
                yield f"own time went {event.own - own:.1f} s from {at:.3f} to {event.at:.3f}"
        latest = (event.at, event.own)


def silences_hold(facts: Facts) -> Iterator[str]:
    """I8: from the moment that a silence is acknowledged up to its end nothing that it matches is told as news.

    Its end is told all the same. By which clock a silence ends is not certain for a moment after the database's was
    set, nor is it to the second.
    """
    steps = [event.at for event in facts.all(Stepped)]
    for silence in facts.all(Silenced):
        for message in facts.queued.values():
            inside = silence.at < message.at and (
                silence.wall_from <= message.wall < silence.wall_to - 1.0
            )
            if not inside or message.instead:
                continue
            if any(message.at - STEP_SECONDS <= at <= message.at for at in steps):
                continue
            for telling in message.tellings:
                news = telling.change is not Change.RESOLVED
                if news and telling.operation == silence.operation:
                    yield f"{message.id} tells {telling.change} at {message.at:.3f} in {silence.id}"


def nobody_is_called_too_soon(facts: Facts) -> Iterator[str]:
    """Retry-After: who asks to be left alone is not sent the same message before that time.

    If the process died before the store knew of it, nobody does. Where the lease was taken over after the database's clock
    had been set, the new owner's count may be off.
    """
    asked: dict[str, tuple[float, float]] = {}
    called: dict[str, float] = {}
    steps = [one.at for one in facts.all(Stepped)]
    takeovers = [one.at for one in facts.all(Taken)]
    for event in facts.history.events:
        if isinstance(event, PutOff):
            begin = called.get(event.id, event.at)
            asked[event.id] = begin, begin + event.after
        elif isinstance(event, Attempted):
            called[event.id] = event.at
            begin, until = asked.get(event.id, (0.0, 0.0))
            moved = all(
                any(begin - 60.0 <= at <= event.at for at in times) for times in (steps, takeovers)
            )
            if event.at < until and not moved:
                yield f"{event.id} was sent {until - event.at:.3f} s too soon on {event.channel}"


CHECKS: dict[str, Callable[[Facts], Iterator[str]]] = {
    "I1 breaches fire": breaches_fire,
    "I1 told or held": incidents_are_told_or_held,
    "I2 in time": messages_arrive_in_time,
    "I3 once": each_transition_is_told_once,
    "I3 copies": copies_have_a_cause,
    "I4 order": arrivals_are_in_order,
    "I5 breach": incidents_have_a_breach,
    "I6 resolve": fires_end_in_resolves,
    "I7 cooldown": fires_keep_the_cooldown,
    "I8 silence": silences_hold,
    "own time": own_time_does_not_step,
    "retry-after": nobody_is_called_too_soon,
}
