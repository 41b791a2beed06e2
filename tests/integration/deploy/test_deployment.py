# SPDX-License-Identifier: Apache-2.0
"""The services of docker-compose.yml together on this machine: real mosquitto, real InfluxDB, the simulated pilot.

One deployment serves all tests here, so each leaves it as it found it.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.deploy.compose import ROOT, Machine, program, read_compose, read_env
from tests.servers.influx import find_influxd
from tests.servers.mosquitto import mosquitto_executable
from tirta.client import Client
from tirta.errors import NotPermitted

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/pilot.json").read_text())
DATA_SOURCE = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/influxdb.yml").read_text())["datasources"][0]
PROVIDER = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/tirta.yml").read_text())["providers"][0]
READINGS_MAX_S = 60.0  # until what a device measures can be read

_CURL = re.compile(r"```sh\n(curl [^`]*/api/v1/[^`]*)```")


def _curl_lines() -> list[str]:
    return [found.strip() for found in _CURL.findall((ROOT / "README.md").read_text())]


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Everything of the file but Grafana, started in the order of its dependencies."""
    mosquitto_executable()
    program("mosquitto_pub", "mosquitto-clients")
    program("curl", "curl")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a build of minutes is watched while it goes on
        influxd = find_influxd()
    folder = tmp_path_factory.mktemp("deployment")
    env = folder / ".env"
    made = subprocess.run(
        ["tirta", "init", "--env", str(env)], env=Machine(folder, {"here": {}}).environment("here"), timeout=60
    )
    assert made.returncode == 0
    with Machine(folder, read_compose(read_env(env))["services"]) as machine:
        machine.start("prepare")
        machine.start("mosquitto")
        machine.start_influxdb(influxd)
        machine.start("tirta")
        machine.start("simulators")
        yield machine


@pytest.fixture
def client(machine: Machine) -> Iterator[Client]:
    with Client(machine.api, _token(machine)) as client:
        yield client


def _token(machine: Machine) -> str:
    return str(json.loads((machine.volume("ready") / "ready.json").read_text())["token"])


def _until(look: Callable[[], Any]) -> Any:
    """Look again and again until something is seen."""
    end = time.monotonic() + READINGS_MAX_S
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.2)
    assert seen, "nothing was seen"
    return seen


def _publish(machine: Machine, username: str, password: str, value: float) -> int:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(machine.ports["1883"]), "-u", username, "-P", password, "-q", "1"]
    command += ["-t", f"tirta/v1/{username}/telemetry", "-m", json.dumps({"soil_moisture": value})]
    return subprocess.run(command, capture_output=True, timeout=30).returncode


def _device(machine: Machine, *command: str) -> dict[str, str]:
    """Run `tirta device …` where Tirta runs; return what it shows as name -> value."""
    told = machine.run("tirta", "tirta", "device", *command)
    assert told.returncode == 0, told.stderr
    return dict(line.split(maxsplit=1) for line in told.stdout.splitlines() if not line.startswith("("))


def _latest(client: Client, zone: str) -> float | None:
    latest = client.zones.get(zone).latest.get("soil_moisture")
    return None if latest is None else float(latest.value)


def test_readme_shows_three_questions_by_curl() -> None:
    lines = _curl_lines()

    assert [sum(path in line for line in lines) for path in ("/zones ", "/series?", "/acts")] in ([0, 1, 1], [1, 1, 1])
    assert len(lines) == 3


@pytest.mark.parametrize("line", _curl_lines(), ids=lambda line: line.rpartition("/api/v1/")[2][:12])
def test_readme_curl_line_as_printed_shows_what_the_pilot_does(machine: Machine, line: str) -> None:
    surroundings = {**machine.environment("simulators"), "TOKEN": _token(machine)}
    here = line.replace("http://127.0.0.1:8080", machine.api)
    assert here != line, "the line has another address than that of a start as the README says"

    def ask() -> list[Any]:
        told = subprocess.run(["sh", "-c", here], env=surroundings, capture_output=True, text=True, timeout=60)
        items = json.loads(told.stdout)["items"]
        assert isinstance(items, list)
        if "/zones" in line and "/series" not in line:
            return [item for item in items if item["latest"]]
        return items

    if line.endswith("/acts"):
        assert ask() is not None  # whether there is one yet goes by the hour of the day
    else:
        assert _until(ask)


def test_readyz_without_a_token_says_ok_and_no_more(machine: Machine, client: Client) -> None:
    told = machine.run("tirta", "curl", "-s", f"{machine.api}/readyz")

    assert json.loads(told.stdout) == {"status": "ok"}
    assert {part.name for part in client.health().parts or ()} == {"broker", "database", "journal", "store influxdb"}


def test_device_added_is_let_in_and_its_reading_is_kept(machine: Machine, client: Client) -> None:
    shown = _device(machine, "add", "taman-kota:bedeng-1", "--kind", "irrigation-controller")

    assert _publish(machine, shown["username"], shown["password"], 0.27) == 0
    assert _until(lambda: _latest(client, "taman-kota:bedeng-1:1") == 0.27)


def test_device_rotated_has_another_password_and_the_old_one_is_refused(machine: Machine, client: Client) -> None:
    old = _device(machine, "add", "taman-kota:bedeng-2", "--kind", "irrigation-controller")
    new = _device(machine, "rotate", "taman-kota:bedeng-2")

    assert _publish(machine, old["username"], old["password"], 0.11) == 5  # not authorised
    assert _publish(machine, new["username"], new["password"], 0.22) == 0
    assert _until(lambda: _latest(client, "taman-kota:bedeng-2:1") == 0.22)


def test_device_revoked_is_refused_and_the_others_go_on(machine: Machine) -> None:
    gone = _device(machine, "add", "taman-kota:bedeng-3", "--kind", "irrigation-controller")
    other = _device(machine, "add", "taman-kota:bedeng-4", "--kind", "irrigation-controller")
    assert _publish(machine, gone["username"], gone["password"], 0.2) == 0

    assert machine.run("tirta", "tirta", "device", "revoke", "taman-kota:bedeng-3").returncode == 0

    assert _publish(machine, gone["username"], gone["password"], 0.2) == 5
    assert _publish(machine, other["username"], other["password"], 0.2) == 0


def test_broker_killed_and_started_again_is_still_told_of_new_devices(machine: Machine) -> None:
    machine.stop("mosquitto", kill=True)
    machine.start("mosquitto")
    machine.wait_healthy("tirta")

    shown = _device(machine, "add", "taman-kota:bedeng-5", "--kind", "irrigation-controller")

    assert _publish(machine, shown["username"], shown["password"], 0.2) == 0


def test_preparing_again_leaves_the_brokers_users(machine: Machine) -> None:
    users = machine.volume("broker") / "mosquitto.passwd"
    before = users.read_text()

    machine.stop("prepare")
    machine.start("prepare")

    assert "tirta-ingest:" in before
    assert users.read_text() == before


def test_tirta_stopped_ends_in_time_and_knows_everything_at_its_next_start(machine: Machine, client: Client) -> None:
    shown = _device(machine, "add", "taman-kota:bedeng-6", "--kind", "irrigation-controller")
    assert _publish(machine, shown["username"], shown["password"], 0.33) == 0
    _until(lambda: _latest(client, "taman-kota:bedeng-6:1") == 0.33)

    assert machine.stop("tirta") == 0
    machine.start("tirta")

    with Client(machine.api, _token(machine)) as again:
        assert _latest(again, "taman-kota:bedeng-6:1") == 0.33
    assert _publish(machine, shown["username"], shown["password"], 0.34) == 0


def test_doctor_where_tirta_runs_finds_nothing_wrong(machine: Machine) -> None:
    told = machine.run("tirta", "tirta", "doctor")

    assert told.returncode == 0, told.stdout
    assert "BAD" not in told.stdout


def test_token_created_and_revoked_where_tirta_runs_counts_at_once(machine: Machine) -> None:
    token = machine.run("tirta", "tirta", "token", "create", "made").stdout.strip()
    with Client(machine.api, token) as made:
        assert list(made.sites.list())

        assert machine.run("tirta", "tirta", "token", "revoke", "made").returncode == 0
        with pytest.raises(NotPermitted) as refused:
            made.session()

    assert refused.value.status == 401


def test_secrets_stand_in_no_log(machine: Machine) -> None:
    values = read_env(machine.folder / ".env")
    logs = "".join(path.read_text() for path in machine.folder.glob("*.log"))

    assert logs
    assert not any(values[name] in logs for name in values if name.endswith(("PASSWORD", "TOKEN")))
    assert _token(machine) not in logs


def test_data_source_is_filled_in_from_what_grafana_is_given(machine: Machine) -> None:
    given = machine.services["grafana"]["environment"]
    wanted = set(re.findall(r"\$(\w+)", json.dumps(DATA_SOURCE)))

    assert wanted <= set(given)
    assert given["INFLUX_URL"] == machine.services["tirta"]["environment"]["TIRTA_INFLUX_URL"]
    assert DATA_SOURCE["secureJsonData"] == {"token": "$INFLUX_TOKEN"}
    assert any(volume.split(":")[1] == PROVIDER["options"]["path"] for volume in machine.services["grafana"]["volumes"])
    assert given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(PROVIDER["options"]["path"])


def _questions() -> list[tuple[str, str]]:
    site = DASHBOARD["templating"]["list"][0]
    panels = [(panel["title"], panel["targets"][0]["query"]) for panel in DASHBOARD["panels"]]
    return [(site["label"], site["query"]["query"]), *panels]


@pytest.mark.parametrize(("title", "question"), _questions(), ids=[title for title, _ in _questions()])
def test_dashboard_question_is_answered_with_rows(machine: Machine, title: str, question: str) -> None:
    values = read_env(machine.folder / ".env")
    # As Grafana puts them in.
    for name, value in {
        "v.defaultBucket": f'"{values["INFLUX_BUCKET"]}"',
        "v.timeRangeStart": "-1h",
        "v.timeRangeStop": "now()",
        "v.windowPeriod": "1s",
        "${site:regex}": "(pilot|taman-kota)",
    }.items():
        question = question.replace(name, value)
    assert "v." not in question

    def ask() -> list[str]:
        headers = {"authorization": f"Token {values['INFLUX_TOKEN']}", "accept": "application/csv"}
        answer = machine.influx(f"/api/v2/query?org={values['INFLUX_ORG']}", {"query": question}, **headers).decode()
        return [row for row in answer.splitlines() if row.startswith(",_result")]

    rows = _until(ask)
    assert any("pilot" in row for row in rows), title


def test_dashboard_names_the_provisioned_data_source_everywhere() -> None:
    assert DATA_SOURCE["uid"] == "tirta"
    parts = [*DASHBOARD["panels"], *(panel["targets"][0] for panel in DASHBOARD["panels"]), *DASHBOARD["templating"]["list"]]

    assert all(part["datasource"] == {"type": DATA_SOURCE["type"], "uid": DATA_SOURCE["uid"]} for part in parts)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_folder_of_the_broker_is_private(machine: Machine) -> None:
    folder: Path = machine.volume("broker")

    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "mosquitto.passwd").stat().st_mode & 0o077 == 0


def test_device_and_browser_verify_by_the_authority_that_is_given_out(machine: Machine, client: Client) -> None:
    shown = _device(machine, "add", "taman-kota:bedeng-7", "--kind", "irrigation-controller")
    ca = machine.folder / "ca.pem"
    ca.write_text(machine.run("tirta", "tirta", "ca", "export").stdout)
    username = shown["username"]

    command = ["mosquitto_pub", "-h", "localhost", "-p", str(machine.ports["8883"]), "--cafile", str(ca), "-q", "1"]
    command += ["-u", username, "-P", shown["password"], "-t", f"tirta/v1/{username}/telemetry"]
    command += ["-m", '{"soil_moisture": 0.24}']
    told = subprocess.run(command, capture_output=True, timeout=30)
    asked = ["curl", "-s", "--cacert", str(ca), f"https://localhost:{machine.ports['8443']}/readyz"]

    assert told.returncode == 0, told.stderr
    assert _until(lambda: _latest(client, "taman-kota:bedeng-7:1") == 0.24)
    assert json.loads(machine.run("tirta", *asked).stdout)["status"] == "ok"
