# SPDX-License-Identifier: Apache-2.0
"""What the map node knows about its own health, and how that becomes diagnostic_msgs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

Level = bytes
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Finding(NamedTuple):
    """What is wrong with a camera, in a word and in a sentence with the remedy."""

    level: Level
    state: str
    message: str


def status(name: str, level: Level, message: str, values: Mapping[str, Any]) -> DiagnosticStatus:
    """One status; floats are written with three decimals."""
    written = [KeyValue(key=k, value=f"{v:.3f}" if isinstance(v, float) else str(v)) for k, v in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id="mapkd", values=written)


class RateMeter:
    """Events a second between two readings of a running count."""

    def __init__(self) -> None:
        self._count, self._at_s = 0, time.monotonic()

    def read(self, count: int) -> float:
        now_s = time.monotonic()
        rate = (count - self._count) / max(now_s - self._at_s, 1e-6)
        self._count, self._at_s = count, now_s
        return rate


class GrowthMeter:
    """Which running counts grew between two readings, and by how much."""

    def __init__(self) -> None:
        self._last: Counter[str] = Counter()

    def read(self, counts: Mapping[str, int]) -> dict[str, int]:
        grown = {name: count - self._last[name] for name, count in counts.items() if count > self._last[name]}
        self._last = Counter(counts)
        return grown


class ThrottledLog:
    """Logs each kind of message at most once every `period_s`, however the text varies."""

    def __init__(self, logger: Any, period_s: float = 5.0) -> None:
        self._logger, self._period_s = logger, period_s
        self._last_s: dict[str, float] = {}

    def warning(self, key: str, text: str) -> None:
        if self._is_due(key):
            self._logger.warning(text)

    # A call site of rclpy's logger must keep its severity, or it raises: hence one method each.
    def error(self, key: str, text: str) -> None:
        if self._is_due(key):
            self._logger.error(text)

    def _is_due(self, key: str) -> bool:
        now_s = time.monotonic()
        if now_s - self._last_s.get(key, -1e9) < self._period_s:
            return False
        self._last_s[key] = now_s
        return True


# Best effort may lose one now and then; what is told is more of those sent since the last report, and more than one.
_LOSS = 0.05
# A lost image now and then is no fault of a camera's clock.
_MISSED = 5
_SYNC_COUNTS = ("received", "unstamped", "duplicate", "ok", "reused", "too_far", "missing")


class CameraHealth:
    """One camera's state: what is wrong with it first, if anything.

    rejected: images that came but could not be used; last_rejection says why, until the next one that could.
    doubt: what does not fit about the mount of a camera that is used all the same.
    finding: what a look at its pictures has shown, if anything.
    missed: how many sets in a row had no image of this camera near enough in time.
    """

    def __init__(self, name: str, max_age_s: float) -> None:
        self.name, self.max_age_s = name, max_age_s
        self.rejected = 0
        self.last_rejection = ""
        self.last_skew_ms = 0.0
        self.missed = self._passed = 0
        self.doubt = ""
        self.finding: Finding | None = None
        self._rate, self._sync, self._transport = RateMeter(), GrowthMeter(), GrowthMeter()

    def used(self, skew_ms: float, doubt: str = "") -> None:
        self.last_rejection, self.last_skew_ms, self.missed = "", skew_ms, 0
        self.doubt = doubt

    def reject(self, reason: str) -> None:
        self.rejected += 1
        self.last_rejection, self.missed = reason, 0

    def state(self, source: Any, publishers: int, sync: Mapping[str, int]) -> tuple[Level, str, str]:
        """(level, state, message) from a `CameraInput`, the publishers on its image topics, the synchroniser's counts.

        Once per report: it compares with the counts of the last one.
        """
        new = self._sync.read({key: sync.get(key, 0) for key in _SYNC_COUNTS})
        # With sync.missing: skip no set without this camera comes to the worker, so the synchroniser is asked, too.
        passed = new.get("too_far", 0) + new.get("missing", 0)
        self._passed = 0 if new.get("ok") or new.get("reused") else self._passed + passed
        sent = self._transport.read({key: source.counts[key] for key in ("received", "lost")})
        lost = sent.get("lost", 0)
        age_s = None if source.last_arrival_s is None else time.monotonic() - source.last_arrival_s
        if age_s is None:
            fault = "no image on" if publishers else "no publisher on"
            if source.counts["qos_incompatible"]:
                fault = "only publishers with incompatible QoS, see qos.image_reliability, on"
            return WARN, "waiting_image", f"{fault} {' or '.join(source.topics)} yet"
        if age_s > self.max_age_s:
            return WARN, "stale", f"no image for {age_s:.1f} s"
        if source.info is None:
            return WARN, "waiting_camera_info", f"no CameraInfo on {self.name.lower()}/camera_info yet"
        if self.last_rejection:
            return WARN, "rejected", self.last_rejection
        if new.get("unstamped"):
            return WARN, "unstamped", "images have header.stamp 0 and cannot be used; the driver must stamp them"
        if 0 < new.get("received", 0) <= new.get("duplicate", 0):
            return WARN, "stuck", "every image has the stamp of the one before: the driver hangs, start it again"
        if self.finding is not None:
            return self.finding
        if lost > max(1.0, _LOSS * sum(sent.values())):
            text = f"{lost} of {sum(sent.values())} images lost on the way"
            text += ": use the shipped DDS profile, or compressed images"
            return WARN, "losing", text
        if (missed := max(self.missed, self._passed)) >= _MISSED:
            text = f"no image within sync.max_skew_s of the anchor's in the last {missed} sets; check its clock"
            return WARN, "out_of_step", text
        if publishers > len(source.topics):
            return WARN, "two_publishers", f"{publishers} publishers on {' and '.join(source.topics)}: images mix"
        if self.doubt:
            return WARN, "doubtful", self.doubt
        return OK, "active", "active"

    def report(
        self, node_name: str, source: Any, state: tuple[Level, str, str], sync: Counter[str]
    ) -> DiagnosticStatus:
        level, word, message = state
        age_s = -1.0 if source.last_arrival_s is None else time.monotonic() - source.last_arrival_s
        values: dict[str, Any] = {
            "state": word,
            "rate_hz": self._rate.read(source.counts["received"]),
            "age_s": age_s,
            "skew_ms": self.last_skew_ms,
            "rejected": self.rejected,
        }
        values |= {
            key: source.counts[key] for key in ("received", "lost", "infos", "qos_incompatible", "decode_overload")
        }
        values |= {f"sync_{reason}": count for reason, count in sorted(sync.items()) if reason != "received"}
        return status(f"{node_name}: {self.name}", level, message, values)
