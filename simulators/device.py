# SPDX-License-Identifier: Apache-2.0
"""A virtual device's logic, without input or output: bytes and instants in, messages out.

It obeys the wire contract wholly; the thin shell that speaks MQTT is `simulators.shell`. Invariants: it acts at most once
for an id; every valve and motor is off no later than its hard stop, with nobody else alive; a record is held until stored.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec
import numpy as np

from gateway.errors import InvalidMessage
from gateway.messages import (
    Ack,
    Amount,
    Command,
    ErrorNote,
    LedgerEntry,
    Position,
    Reported,
    Status,
    Stored,
    ZoneLimits,
    decode_message,
)
from gateway.topics import Address, Channel
from simulators.acts import Act, find_fault_in, plan_act
from simulators.configuration import FACTORY, apply_config
from simulators.events import Event, Watcher, What
from simulators.faults import Faults
from simulators.ledger import Ledger
from simulators.machine import Machine, Place
from simulators.memory import Memory
from simulators.outbox import Batch, Outbox
from simulators.recorder import NATURE_MS, STEP_MS, Recorder
from simulators.speech import Outgoing, Speech

__all__ = ["Outgoing", "VirtualDevice"]

logger = logging.getLogger(__name__)

FIRMWARE: Final = "sim-1.0.0"
FEED_STEP_MS: Final = 1_000  # and while feed falls, for a hopper may run empty [ms]
DAY_MS: Final = 86_400_000
ASLEEP_MS: Final = DAY_MS  # a longer gap between two ticks leaves no records: the machine was suspended [ms]


class VirtualDevice:
    """One controller board with its machine, its memory and its sense of time.

    Parameters
    ----------
    machine : Machine
        What hangs on the board.
    memory : Memory
        Non-volatile; a device made anew on the same memory is the same device after a restart.
    now_ms : int
        When it starts. [ms since the Unix epoch]
    seed : int
        Of its sensors' noise and of the moment within a minute at which it measures.
    cbor : bool
        Whether it speaks CBOR and not JSON.
    synchronised : bool
        Whether it has found the time; without it records carry no `ts` and acts are refused.
    faults : Faults or None
        What breaks, and when; cutting its power is the shell's.
    watch : callable or None
        Told of every event, in order.
    """

    def __init__(
        self,
        address: Address,
        machine: Machine,
        memory: Memory,
        now_ms: int,
        *,
        seed: int = 0,
        cbor: bool = False,
        synchronised: bool = True,
        faults: Faults | None = None,
        watch: Watcher | None = None,
    ) -> None:
        self.address = address
        self.faults = faults or Faults(address)
        self.machine = machine
        self.synchronised = synchronised
        self.ledger = Ledger(memory)
        self._recorder = Recorder(machine, memory, seed=seed, cbor=cbor)
        self._memory = memory
        self._watch = watch
        self._now = now_ms
        self._acts: dict[Place, Act] = {}
        self._speech = Speech(memory, cbor=cbor, lost=lambda: self.faults.has("dropped-replies", self._now))
        self._local = 0
        kept = memory.recall("config")
        self.config = FACTORY if kept is None else msgspec.convert(kept, Reported)
        self._boot(seed)

    # Starting

    def _boot(self, seed: int) -> None:
        self._suffer()
        self._phase_ms = int(np.random.default_rng([seed]).integers(0, DAY_MS))
        self._recorder.restore_nature(self._now)
        with self._memory.atomic():
            for entry in self.ledger.settle_interrupted(self._day()):
                self._tell_entry(entry)
        self._due = self._now  # the first record at once: somebody may be waiting for a sign of life

    # What the shell calls

    @property
    def boot(self) -> int:
        """How often this device has started."""
        return self._recorder.boot

    @property
    def outbox(self) -> Outbox:
        """The records held until they are stored."""
        return self._recorder.outbox

    @property
    def next_wake_ms(self) -> int:
        """When `tick` is next due, at the latest. [ms since the Unix epoch]"""
        return min([self._due, *(self._now + self._act_ms(act) for act in self._acts.values())])

    @property
    def running(self) -> tuple[str, ...]:
        """The ids of the acts going on."""
        return tuple(act.command.id for act in self._acts.values())

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Let time pass up to `now_ms`; return what is to be said. Telemetry is taken from `next_batch`."""
        self._run_to(now_ms)
        return self._speech.drain()

    def connected(self, now_ms: int) -> list[Outgoing]:
        """Return what is said first on a new connection; telemetry begins again after the last `stored`."""
        self._run_to(now_ms)
        self._speech.drain()  # it was meant for the connection before; what must not be lost is kept
        self.outbox.rewind()
        self._say_status()
        self._say_reported()
        self._speech.say_kept()
        return self._speech.drain()

    def handle(self, channel: Channel, payload: bytes, now_ms: int) -> list[Outgoing]:
        """Take a message from the platform; one that makes no sense is noted and changes nothing."""
        self._run_to(now_ms)
        try:
            if channel is Channel.COMMAND:
                self._take_command(decode_message(payload, Command))
            elif channel is Channel.CONFIG:
                self._take_config(payload)
            elif channel is Channel.STORED:
                self._take_stored(decode_message(payload, Stored))
            elif channel is Channel.ERROR:
                note = decode_message(payload, ErrorNote)
                self._tell(What.NOTE_RECEIVED, {"code": note.code, "detail": note.detail, "seq": note.seq})
        except InvalidMessage as exc:
            logger.warning("%s: %s passed over: %s", self.address.key, channel.value, exc, extra={"action": "pass_over"})
        return self._speech.drain()

    def next_batch(self) -> Batch | None:
        """Return the next telemetry payload to publish, or None when all was sent on this connection."""
        return self.outbox.next_batch()

    def acknowledge(self, sent: Outgoing | Batch) -> None:
        """Hear that the broker has a message."""
        if isinstance(sent, Batch):
            self._tell(What.RECORDS_ACKNOWLEDGED, {}, sent.positions)
        else:
            self._speech.acknowledge(sent)

    def press(self, action: str, zone: int, amount: Amount, max_seconds: float, now_ms: int) -> list[Outgoing]:
        """Do what a person does at the board: a button or a lever. Nothing happens where something is going on already.

        Raises
        ------
        ValueError
            This machine has no such zone or action, or the amount is not above 0.
        """
        self._run_to(now_ms)
        self._local += 1
        act_id = f"local-{self.boot}-{self._local}"
        command = Command(act_id, action, self._now, self._now, zone=zone, amount=amount, max_seconds=max_seconds)
        if (fault := find_fault_in(command, self.machine)) is not None:
            raise ValueError(f"{action} in zone {zone}: {fault}")
        act = plan_act(command, ZoneLimits(), Amount())  # a person at the board may do what no schedule may
        if act is not None and act.place not in self._acts:
            self._begin(act)
        return self._speech.drain()

    def shut_down(self, now_ms: int) -> list[Outgoing]:
        """End everything that runs and say goodbye."""
        self._run_to(now_ms)
        for act in list(self._acts.values()):
            self._end(act, "done", "stopped")
        self._recorder.keep_nature(self._now)
        self._speech.say(Channel.STATUS, Status(online=False), retain=True)
        return self._speech.drain()

    # Time

    def _run_to(self, now_ms: int) -> None:
        if now_ms < self._now:  # the clock was set back: nature does not go backward, and no record is waited for long
            self._now = now_ms
            self._due = min(self._due, now_ms + self.config.telemetry_s * 1000)
        if now_ms - self._now > ASLEEP_MS:
            self._due = now_ms
        if not self._acts:
            self._now = max(self._now, now_ms - NATURE_MS)
        while self._now < now_ms or self._due <= self._now:
            if self._due <= self._now:
                self._recorder.measure_all(self._now, timed=self.synchronised)
                self._due = self._next_due()
            else:
                change = self.faults.next_change_ms(self._now) or now_ms
                self._step(min(STEP_MS, now_ms - self._now, self._due - self._now, change - self._now))

    def _suffer(self) -> None:
        if self.faults.all:
            self.machine.suffer(self.faults.at(self._now))

    def _step(self, at_most_ms: int) -> None:
        self._suffer()
        step = min([at_most_ms, *(self._act_ms(act) for act in self._acts.values())])
        faults = {place: self.machine.fault(place) for place in self._acts}
        self._now += step
        given = self.machine.advance(self._now, step / 1000.0)
        for place, act in list(self._acts.items()):
            fault = self.machine.fault(place) if faults[place] is None and not given.get(place) else faults[place]
            act.go_on(step, given.get(place, 0.0), fault)
            outcome = act.outcome(fault)
            if outcome is not None:
                self._end(act, *outcome)

    def _act_ms(self, act: Act) -> int:
        remaining = act.remaining_ms(self.machine.rate(act.place), self.machine.fault(act.place))
        return min(remaining, FEED_STEP_MS) if act.place[1] == "feed" else remaining

    def _next_due(self) -> int:
        period = self.config.telemetry_s * 1000
        return self._now + period - (self._now - self._phase_ms) % period

    def _day(self) -> int:
        return (self._now + self.config.utc_offset_min * 60_000) // DAY_MS

    # Acting

    def _take_command(self, command: Command) -> None:
        expired = self.synchronised and self._now > command.expires
        if command.action in ("stop", "ping"):
            self._take_order(command, expired)
            return
        known = self.ledger.find(command.id)
        if known is not None:
            self._answer(known, command.n)
            return
        if command.n is None:
            self._refuse(command, "out-of-range")
        elif command.n <= self.ledger.last_n:
            self._refuse(command, "replayed")
        elif (reason := self._objection(command, expired)) is not None:
            self.ledger.reject(command, reason)
            self._refuse(command, reason)

    def _objection(self, command: Command, expired: bool) -> str | None:
        """Begin the act and return None, or return the reason why not."""
        if not self.synchronised:
            return "unsynchronised"
        if expired:
            return "expired"
        if (fault := find_fault_in(command, self.machine)) is not None:
            return fault
        zone = command.zone or 1
        if (zone, command.action) in self._acts:
            return "busy"
        limits = self.config.zones.get(str(zone), ZoneLimits())
        act = plan_act(command, limits, self.ledger.spent(zone, self._day()))
        if act is None:
            return "interlock"
        self._speech.say(Channel.ACK, Ack(command.id, "accepted", command.n, ts=self._now))
        self._begin(act)
        return None

    def _take_order(self, command: Command, expired: bool) -> None:
        if expired:
            self._refuse(command, "expired")
        elif command.action == "ping":
            self._say_status()
        elif command.zone is not None and command.zone > self.machine.zones:
            self._refuse(command, "out-of-range")
        else:
            for act in list(self._acts.values()):
                if command.zone in (None, act.place[0]):
                    self._end(act, "done", "stopped")
            self._speech.say_final(Ack(command.id, "done", ts=self._time()))

    def _begin(self, act: Act) -> None:
        command = act.command
        self.ledger.begin(command, act.most(self.machine.rate(act.place)))
        self._tell(What.ACT_BEGUN, {"id": command.id, "action": command.action, "zone": command.zone})
        self._acts[act.place] = act
        self.machine.switch(act.place, True)
        running = Ack(command.id, "running", command.n, ts=self._time())
        self._speech.say(Channel.ACK, self._signed(running, command.action, command.zone))
        self._recorder.measure(act.place[0], self._now, timed=self.synchronised)
        self._say_status()

    def _end(self, act: Act, state: str, reason: str | None) -> None:
        command, result = act.command, act.result()
        self.machine.switch(act.place, False)
        self._acts.pop(act.place, None)
        detail: dict[str, str | int | float | None] = {"id": command.id, "action": command.action, "zone": command.zone}
        detail |= {"state": state, "reason": reason}
        detail |= {"seconds": result.seconds, "litres": result.litres, "grams": result.grams}
        self._tell(What.ACT_ENDED, detail)
        with self._memory.atomic():
            self.ledger.finish(command, state, reason, result, self._day())
            self._recorder.keep_nature(self._now)
            self._recorder.measure(act.place[0], self._now, timed=self.synchronised)
            entry = self.ledger.find(command.id)
            assert entry is not None
            self._tell_entry(entry)
        self._say_status()

    def _refuse(self, command: Command, reason: str) -> None:
        self._tell(What.ACT_REFUSED, {"id": command.id, "action": command.action, "zone": command.zone, "reason": reason})
        self._speech.say_final(Ack(command.id, "rejected", command.n, reason=reason, ts=self._time()))

    # Configuration and storage

    def _take_config(self, payload: bytes) -> None:
        config = apply_config(payload, self.config, self.machine.zones)
        if config == self.config:
            return
        self._memory.keep("config", msgspec.to_builtins(config))
        self.config = config
        self._due = min(self._due, self._next_due())
        self._say_reported()

    def _take_stored(self, stored: Stored) -> None:
        if self.outbox.forget(stored.boot, stored.seq):
            self._tell(What.RECORDS_STORED, {}, (Position(stored.boot, stored.seq),))

    # Saying

    def _time(self) -> int | None:
        return self._now if self.synchronised else None

    def _signed(self, ack: Ack, action: str, zone: int | None) -> Ack:
        """Add what the platform can not know of an act done by hand."""
        return msgspec.structs.replace(ack, action=action, zone=zone) if ack.id.startswith("local-") else ack

    def _tell_entry(self, entry: LedgerEntry) -> None:
        """Say how a known act ended."""
        n, action, zone = self.ledger.number_and_place(entry.id)
        ack = Ack(entry.id, entry.state, n, reason=entry.reason, result=entry.result, ts=self._time())
        self._speech.say_final(self._signed(ack, action, zone))

    def _answer(self, entry: LedgerEntry, n: int | None) -> None:
        ack = Ack(entry.id, entry.state, n, reason=entry.reason, result=entry.result, ts=self._time())
        if entry.state == "running":
            self._speech.say(Channel.ACK, ack)
        else:
            self._speech.say_final(ack)

    def _say_status(self) -> None:
        status = Status(
            online=True,
            kind=self.machine.kind,
            fw=FIRMWARE,
            boot=self.boot,
            zones=self.machine.zones,
            n=self.ledger.last_n,
            ledger=self.ledger.newest(),
            oldest=self._recorder.oldest,
            last=self._recorder.last,
            ts=self._time(),
        )
        self._speech.say(Channel.STATUS, status, retain=True)

    def _say_reported(self) -> None:
        self._speech.say(Channel.REPORTED, self.config, retain=True)

    def _tell(self, what: What, detail: dict[str, str | int | float | None], positions: tuple[Position, ...] = ()) -> None:
        if self._watch is not None:
            self._watch(Event(self.address, self._now, what, detail, positions))
