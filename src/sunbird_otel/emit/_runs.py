"""The open flows of producers: runs of services and of jobs, which are not tied to the code around a call."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from sunbird_otel._flow import lane_key
from sunbird_otel._pairing import match_end
from sunbird_otel._placing import begun_by

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sunbird_otel._event import Event
    from sunbird_otel._rules import FlowRule, Rules
    from sunbird_otel.emit._track import Track


class Runs:
    """Open flows by producer."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.renew()

    def renew(self) -> None:
        """Forget all."""
        self._lock = Lock()
        self._runs: dict[Hashable, list[Track]] = {}
        self._auditing: set[Hashable] = set()

    def add(self, track: Track) -> None:
        """Take in an open flow."""
        with self._lock:
            self._runs.setdefault(track.lane, []).append(track)
            if track.flow.rule.members:
                self._auditing.add(track.lane)

    def remove(self, track: Track) -> None:
        """Take out a flow that is closed."""
        with self._lock:
            runs = self._runs.get(track.lane, [])
            if track in runs:
                runs.remove(track)
            if not runs:
                self._runs.pop(track.lane, None)

    def all(self) -> list[Track]:
        """Return all, the newest first."""
        with self._lock:
            return [track for runs in self._runs.values() for track in reversed(runs)]

    def of(self, event: Event, rule: FlowRule) -> list[Track]:
        """Return those of ``rule`` that the producer of ``event`` has open, the newest first."""
        if not self._runs:
            return []
        with self._lock:
            runs = list(self._runs.get(lane_key(event, rule.scope), ()))
        return [run for run in reversed(runs) if run.flow.rule is rule]

    def matching(self, event: Event, rule: FlowRule) -> Track | None:
        """Return the one of ``rule`` that ``event`` ends, or would end if it were an END."""
        runs = self.of(event, rule)
        flow = match_end(event, rule, begun_by(event, [run.flow for run in runs]))
        return next((run for run in runs if run.flow is flow), None)

    def member_of(self, event: Event, rule: FlowRule) -> Track | None:
        """Return the newest run that flows of ``rule`` from the producer of ``event`` are members of."""
        owner = self._rules.by_kind.get(rule.member_of)
        runs = self.of(event, owner) if owner is not None else []
        return runs[0] if runs else None

    def note(self, event: Event, rule: FlowRule) -> None:
        """Remember that the producer of ``event`` tells its runs."""
        if rule.members:
            self._auditing.add(lane_key(event, rule.scope))

    def outside(self, event: Event, rule: FlowRule) -> bool:
        """Tell whether a flow of ``rule`` lacks the run around it, though its producer is known to tell its runs."""
        owner = self._rules.by_kind.get(rule.member_of)
        return owner is not None and lane_key(event, owner.scope) in self._auditing
