# SPDX-License-Identifier: Apache-2.0
"""Devices written elsewhere, as the README shows them: a shell loop with mosquitto_pub, and a paho-mqtt script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.bench import add_device
from tests.servers.tirta import Tirta, eventually, series
from tirta.client import Client

README = Path(__file__).parents[2] / "README.md"
BOARD_S = 60.0  # an act and its measurements, with room [s]


def readme_block(language: str, holding: str) -> str:
    """Return the README's block of code in a language that holds a word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if holding in block]
    return str(block)


@pytest.fixture
def mosquitto_pub() -> str:
    """The program, or a skip (under CI=true: a failure)."""
    found = shutil.which("mosquitto_pub")
    if found is None:
        reason = "mosquitto_pub is not installed: apt-get install mosquitto-clients"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_a_shell_loop_with_mosquitto_pub_is_read_back(tirta: Tirta, client: Client, mosquitto_pub: str) -> None:
    username, password = add_device(client, "shell")
    host, port = tirta.mqtt
    loop = f"""
        boot=$(date +%s)
        for seq in 0 1 2 3 4; do
            echo '{{"ts": '$(date +%s%3N)', "boot": '$boot', "seq": '$seq', "soil_moisture": 0.2'$seq', "valve_open": false}}'
        done | {mosquitto_pub} -V mqttv311 -h {host} -p {port} -u "$USERNAME" -P "$PASSWORD" -q 1 \
            -t "tirta/v1/$USERNAME/telemetry" -l
    """
    environment = {"PATH": os.environ["PATH"], "USERNAME": username, "PASSWORD": password}
    subprocess.run(["sh", "-ec", loop], env=environment, check=True, timeout=30, capture_output=True)
    expected = [0.20, 0.21, 0.22, 0.23, 0.24]
    eventually(lambda: [value for _, value in series(client, "bench:shell:1", "soil_moisture")] == expected, "all are stored")
    assert client.zones.get("bench:shell:1").latest["valve_open"].value is False


def test_the_readmes_mosquitto_pub_line_is_read_back(tirta: Tirta, client: Client, mosquitto_pub: str) -> None:
    username, password = add_device(client, "bedeng-1", site="taman-kota")
    line = readme_block("sh", "mosquitto_pub").replace("-p 18830", f"-p {tirta.mqtt[1]}")
    assert str(tirta.mqtt[1]) in line
    assert username in line
    environment = {"PATH": os.environ["PATH"], "PASSWORD": password}
    subprocess.run(["sh", "-ec", line], env=environment, check=True, timeout=30, capture_output=True)
    eventually(lambda: series(client, "taman-kota:bedeng-1:1", "soil_moisture"), "it is stored")
    assert series(client, "taman-kota:bedeng-1:1", "soil_temperature")[-1][1] == pytest.approx(27.4)


@pytest.mark.slow
def test_the_readmes_paho_script_measures_and_obeys(tirta: Tirta, client: Client, tmp_path: Path) -> None:
    script = tmp_path / "board.py"
    script.write_text(readme_block("python", "paho"), encoding="utf-8")
    assert 25 <= len(script.read_text("utf-8").splitlines()) <= 50
    username, password = add_device(client, "paho")
    zone = "bench:paho:1"
    client.zones.change(zone, flow_l_min=10.0, area_m2=4.0, root_depth_m=0.2)
    host, port = tirta.mqtt
    with (tmp_path / "log").open("wb") as log:
        board = subprocess.Popen(
            [sys.executable, str(script), host, str(port), username, password, "8"],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        try:
            eventually(lambda: client.devices.get("bench:paho").online, "it is online")
            act = client.acts.request(zone, "irrigate", seconds=30)
            eventually(lambda: client.acts.get(act.id).state == "done", "it has watered")
            assert client.acts.get(act.id).result.seconds == pytest.approx(30.0)
            assert board.wait(BOARD_S) == 0, (tmp_path / "log").read_text()
        finally:
            board.kill()
            board.wait()
    eventually(lambda: len(series(client, zone, "soil_moisture")) == 8, "all eight are stored, each once")
    assert (tmp_path / "log").read_text() == ""
    assert list(client.quarantine.list(device="paho")) == []


@pytest.mark.slow
def test_a_paho_script_that_is_killed_is_shown_as_offline(tirta: Tirta, client: Client, tmp_path: Path) -> None:
    script = tmp_path / "board.py"
    script.write_text(readme_block("python", "paho"), encoding="utf-8")
    username, password = add_device(client, "fallen")
    host, port = tirta.mqtt
    board = subprocess.Popen([sys.executable, str(script), host, str(port), username, password], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: client.devices.get("bench:fallen").online, "it is online")
        time.sleep(1.0)
    finally:
        board.kill()
        board.wait()
    eventually(lambda: not client.devices.get("bench:fallen").online, "its last will tells that it is gone")
