"""ReplyDecoder: reply bodies to snapshots, remembering from one to the next."""

from __future__ import annotations

from collections import OrderedDict
from itertools import chain

import numpy as np

from domstats.errors import Truncated
from domstats.model.snapshot import Snapshot
from domstats.wire.bulk.plan import Plan
from domstats.wire.bulk.scan import Known, Scan
from domstats.wire.bulk.template import Template, Words

_PLANS_WORDS = 1 << 23
"""How many words of reply the remembered plans may cover: 4,800 guests like those of the captured replies, in slices or
whole. A plan takes 7 bytes a word."""
_PLANS_AGE, _ROUNDS = 256, 4
"""Replies after which a plan that none of them fitted is forgotten; more where there are many plans, since a host in
slices has one a slice, and each is needed once a round."""
_KNOWN_BYTES = 1 << 26
"""How much memory the records that are remembered take; over that, only those of the remembered plans are."""
_HINT_BYTES = 48
"""Up to here a body holds its count and the beginning of the first domain, and no number that changes: 32 bytes and the
name stand before the first parameter, whose own name and type take 20."""


class ReplyDecoder:
    """Decodes bodies of replies from one daemon: whole ones, slices, any subset of the domains in any order.

    A domain's place in the snapshots is where it was first seen. A record that is as it was but for its numbers costs
    a comparison and a gather; one that changed is read anew alone, and so is each new one.
    """

    def __init__(self) -> None:
        self._known = Known()
        self._room = 0
        """Where the plans' records alone take nearly _KNOWN_BYTES, or more: up to where others are remembered, too, so
        that forgetting is rare."""
        self._plans: OrderedDict[tuple[Template, ...], Plan] = OrderedDict()
        """The one that was used last comes last."""
        self._words = 0
        """Of all plans."""
        self._decoded = 0
        self._hints: dict[tuple[int, bytes], Plan] = {}
        """By length and beginning of a body: a guess that costs nothing, and the plan itself proves it. A plan has one
        at most, and it goes with the plan."""

    def decode(
        self, body: bytes | bytearray | memoryview, *, time: float = 0.0, source: str = "", host_cpus: int | None = None
    ) -> Snapshot:
        """The snapshot in a body (a reply's payload), taken at `time` (seconds since the epoch) from `source`.

        Raises Truncated, LimitExceeded or BadValue, which name the field and its offset in the body.
        """
        if len(body) % 4:
            raise Truncated("body", len(body), f"a body of {len(body)} bytes is no whole number of 32-bit words")
        words: Words = np.frombuffer(body, np.uint32)
        hint = (len(body), bytes(body[:_HINT_BYTES]))
        plan = self._hints.get(hint)
        if plan is None or not plan.matches(words):
            plan, arranged = Scan(bytes(body), self._known, self._plan_of).run()
            self._use(plan)
            self._make_room()
            if arranged is None:
                self._drop_hint(plan)
                self._hints[hint], plan.hint = plan, hint
            else:
                words = arranged
        else:
            self._use(plan)
        return Snapshot.of_one_poll(plan.layout, plan.read(words), time=time, source=source, host_cpus=host_cpus)

    def _plan_of(self, templates: list[Template]) -> Plan:
        identity = tuple(templates)
        plan = self._plans.get(identity)
        if plan is None:
            plan = self._plans[identity] = Plan(templates)
            plan.used = self._decoded
            self._words += plan.words
        return plan

    def _use(self, plan: Plan) -> None:
        """It is a reply's."""
        self._decoded += 1
        plan.used = self._decoded
        self._plans.move_to_end(plan.templates)

    def _make_room(self) -> None:
        age = max(_PLANS_AGE, _ROUNDS * len(self._plans))
        while len(self._plans) > 1:
            oldest = next(iter(self._plans.values()))
            if self._words <= _PLANS_WORDS and oldest.used >= self._decoded - age:
                break
            del self._plans[oldest.templates]
            self._words -= oldest.words
            self._drop_hint(oldest)
        if self._known.memory > max(_KNOWN_BYTES, self._room):  # domains come and go for years
            records = chain.from_iterable(each.layout.records for each in self._plans.values())
            self._known.only(map(Template.of, records))
            self._room = self._known.memory + _KNOWN_BYTES // 2

    def _drop_hint(self, plan: Plan) -> None:
        if plan.hint is not None and self._hints.get(plan.hint) is plan:
            del self._hints[plan.hint]
