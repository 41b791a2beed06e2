# SPDX-License-Identifier: Apache-2.0
"""11: the network between broker and ingest misbehaves: silence, half-open, resets within a packet, single bytes, stalls."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.scene import Scene
from tests.servers.proxy import Proxy
from tests.servers.victim import Victim

__all__ = ["TEST"]

_LIVE_S = 30.0


def _wait(question: Callable[[], bool], complaint: str, timeout_s: float) -> float:
    begun_s = time.monotonic()
    while not question():
        assert time.monotonic() - begun_s < timeout_s, complaint
        time.sleep(0.02)
    return time.monotonic() - begun_s


def _silence(begin: Callable[[], None], end: Callable[[], None], victim: Victim, keep_alive_s: int) -> float:
    """Fall silent until the process has noticed; return how long that took. [s]"""
    connections = victim.status["connections"]
    begin()
    found_s = _wait(lambda: not victim.status["connected"], "a peer that is gone is not found", 3.0 * keep_alive_s + 5)
    end()
    _wait(lambda: victim.status["connections"] > connections and victim.status["connected"], "no new connection", _LIVE_S)
    return found_s


def run(conditions: Conditions) -> Findings:
    """Do one after the other under load; what was acknowledged by the broker must be in the store at the end."""
    keep_alive_s = conditions.choose(10, 2)
    rng = conditions.rng
    resets = conditions.choose(100, 8)
    found: dict[str, float] = {}
    scene = Scene(conditions.folder, devices=5, keep_alive_s=keep_alive_s)
    with Proxy(scene.broker.host, scene.broker.port) as proxy:
        scene = Scene(conditions.folder, devices=5, keep_alive_s=keep_alive_s, port=proxy.port, broker=scene.broker)
        with scene, scene.victim as victim, scene.fleet() as fleet:
            victim.wait_live()
            fleet.run_at(400)
            time.sleep(1.0)
            hold, go_on = (lambda: setattr(proxy, "mode", "hold")), (lambda: setattr(proxy, "mode", "pass"))
            found["black hole"] = _silence(hold, go_on, victim, keep_alive_s)
            found["half-open"] = _silence(proxy.orphan, lambda: None, victim, keep_alive_s)
            for _ in range(resets):
                proxy.reset_after(rng.randrange(1, 20_000))
                cuts = proxy.cuts
                _wait(lambda cuts=cuts: proxy.cuts > cuts, "nothing came to be cut", 20)
                _wait(lambda: victim.status["connected"], "no new connection after a reset", _LIVE_S)
            proxy.mode = "bytes"
            time.sleep(conditions.choose(20.0, 2.0))
            proxy.mode = "hold"
            time.sleep(conditions.choose(60.0, 4.0))  # a stall, longer than the keepalive
            proxy.mode = "pass"
            for _ in range(conditions.choose(20, 1)):  # a new connection before the old one is seen to end
                proxy.mode = "hold"
                _wait(lambda: not victim.status["connected"], "the silence is not found", 3.0 * keep_alive_s + 5)
                proxy.mode = "pass"
                _wait(lambda: victim.status["connected"], "no new connection", _LIVE_S)
            _wait(lambda: victim.status["connected"], "no new connection after the stall", _LIVE_S)
            said = victim.status
            counts = scene.drain_and_compare(fleet)
    numbers = {
        **counts,
        "connections": said["connections"],
        "found_s": {name: round(value, 2) for name, value in found.items()},
        "acks_dropped": said["acks_dropped"],
        "acks_carried_over": proxy.strays,
    }
    criteria = {
        "nothing lost": counts["lost"] == 0,
        "no acknowledgement carried over": proxy.strays == 0,
        "nothing twice": counts["dup"] == 0,
        "a dead peer is found within 1.5 keepalives": max(found.values()) <= 1.5 * keep_alive_s + 0.5,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(11, "TCP: silence, half-open, resets, single bytes", run)
