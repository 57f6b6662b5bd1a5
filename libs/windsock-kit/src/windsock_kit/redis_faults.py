"""What Redis's client raises while Redis is away. Needs the extra ``redis``."""

from __future__ import annotations

from redis.exceptions import RedisError

redis_faults: tuple[type[Exception], ...] = (
    RedisError,
    # The library lets some errors of the operating system through as they are.
    OSError,
    TimeoutError,
    # What uvloop says to whoever writes on a connection that has just been cut off.
    RuntimeError,
)
