# SPDX-License-Identifier: Apache-2.0
"""What did not arrive is counted exactly, what did not fit comes back once its cause is mended; as an operator sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.bench import BenchDevice, add_device
from tests.servers.tirta import Tirta, eventually, series
from tirta.client import Client, Gaps

KIND = """
[quantities.leaf_wetness]
unit = "%"
type = "number"
min = 0.0
max = 100.0
en = "leaf wetness"
id = "kebasahan daun"

[kinds.leaf-station]
quantities = [{quantities}]
actions = []
"""


def gaps(client: Client, device: str) -> Gaps:
    """Return what is missing of a device."""
    return client.devices.gaps(f"bench:{device}")


def test_gaps_of_a_device_open_close_and_become_lost_as_it_says_itself(tirta: Tirta, client: Client) -> None:
    with BenchDevice(tirta, add_device(client, "gapped")) as device:
        for seq in (0, 1, 5):
            device.publish({"boot": 1, "seq": seq, "flow": 1.0})
        eventually(lambda: gaps(client, "gapped").missing == 3, "the hole is seen")
        device.publish({"online": True, "boot": 2, "last": {"boot": 1, "seq": 8}}, channel="status", retain=True)
        eventually(lambda: gaps(client, "gapped").missing == 6, "the end of the boot is seen")
        device.publish([{"boot": 1, "seq": seq, "flow": 1.0} for seq in (7, 3, 6, 8)])
        eventually(lambda: gaps(client, "gapped").missing == 2, "what came late closes its part")
        status = {"online": True, "boot": 2, "last": {"boot": 1, "seq": 8}, "oldest": {"boot": 1, "seq": 4}}
        device.publish(status, channel="status", retain=True)
        eventually(lambda: gaps(client, "gapped").lost == 1, "what it no longer holds is lost")
    found = gaps(client, "gapped")
    assert [(gap.boot, gap.first, gap.last, gap.state) for gap in found.items] == [
        (1, 2, 2, "lost"),
        (1, 4, 4, "open"),
    ]
    assert found.ends_unknown == []


@pytest.mark.slow
def test_records_replayed_after_their_kind_gained_a_quantity_are_stored_once(tmp_path: Path) -> None:
    catalogue = tmp_path / "kinds.toml"
    catalogue.write_text(KIND.format(quantities='"leaf_wetness"'))
    with Tirta(tmp_path, environment={"TIRTA_CATALOGUE": str(catalogue)}) as tirta:
        with tirta.client() as client:
            login = add_device(client, "leaf", kind="leaf-station")
            with BenchDevice(tirta, login) as device:
                for seq in range(3):
                    device.publish({"boot": 1, "seq": seq, "leaf_wetness": 10 + seq, "air_temperature": 20 + seq})
                device.publish({"boot": 1, "seq": 3, "leaf_wetnes": 7})
                eventually(lambda: len(list(client.quarantine.list())) == 4, "all are kept")
            assert gaps(client, "leaf").missing == 0
        listed = tirta.run("quarantine", "list", "--device", "bench:leaf")
        assert (listed.stdout.count("not-in-kind"), listed.stdout.count("did you mean leaf_wetness?")) == (3, 1)
        again = tirta.run("quarantine", "replay", "--reason", "not-in-kind")
        assert again.stdout == "3 refused again\n"
        assert tirta.stop() == 0
        catalogue.write_text(KIND.format(quantities='"leaf_wetness", "air_temperature"'))
        tirta.start()
        entry = tirta.run("quarantine", "list", "--reason", "not-in-kind").stdout.split()[0]
        assert '"leaf_wetness": 12' in tirta.run("quarantine", "show", entry).stdout
        assert tirta.run("quarantine", "replay", entry).stdout == f"{entry} stored\n"
        tirta.kill()
        tirta.start()
        assert tirta.run("quarantine", "replay", "--all").stdout == "2 stored, 1 refused again\n"
        with tirta.client() as client:
            eventually(lambda: len(series(client, "bench:leaf:1", "air_temperature")) == 3, "each is stored")
            assert sorted(value for _, value in series(client, "bench:leaf:1", "air_temperature")) == [20, 21, 22]
        assert tirta.run("quarantine", "discard", "--reason", "unknown-quantity").stdout == "1 are gone\n"
        assert tirta.run("quarantine", "list").stdout == "nothing\n"
        unclear = tirta.run("quarantine", "discard")
        assert (unclear.returncode, "say which" in unclear.stderr) == (1, True)
