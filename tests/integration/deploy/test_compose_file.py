# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yml as docker-compose itself reads it, and what must be true of every service in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.deploy.compose import COMPOSE_FILE, ROOT, program, read_env
from tirta.initialise import write_env

PROFILES = ("--profile", "simulate", "--profile", "grafana")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder with the file and this installation's secrets."""
    shutil.copy(COMPOSE_FILE, tmp_path)
    write_env(tmp_path / ".env")
    return tmp_path


@pytest.fixture
def services(folder: Path) -> dict[str, Any]:
    told = _config(folder)
    assert told.returncode == 0, told.stderr
    services: dict[str, Any] = yaml.safe_load(told.stdout)["services"]
    return services


def _config(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [program("docker-compose", "docker-compose"), *PROFILES, "config", *options]
    # Nothing of this machine's environment: a variable there would stand in for a missing secret.
    surroundings = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=60)


def test_config_with_the_secrets_of_init_is_taken_without_a_word(folder: Path) -> None:
    told = _config(folder, "-q")

    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_config_without_an_env_file_is_refused_with_what_to_do(folder: Path) -> None:
    (folder / ".env").unlink()

    told = _config(folder)

    assert told.returncode != 0
    assert "run tirta init" in told.stderr


@pytest.mark.parametrize(
    "missing", ["INFLUX_ORG", "INFLUX_BUCKET", "INFLUX_ADMIN_PASSWORD", "INFLUX_TOKEN", "GRAFANA_ADMIN_PASSWORD"]
)
def test_config_with_one_secret_missing_or_empty_is_refused(folder: Path, missing: str) -> None:
    env = folder / ".env"
    for line in ("", f"{missing}=\n"):
        write_env(folder / "whole")
        env.write_text(re.sub(rf"^{missing}=.*\n", line, (folder / "whole").read_text(), flags=re.MULTILINE))
        (folder / "whole").unlink()

        assert _config(folder).returncode != 0


def test_services_are_those_that_a_pilot_needs(services: dict[str, Any]) -> None:
    assert set(services) == {"prepare", "mosquitto", "influxdb", "tirta", "simulators", "grafana"}
    assert services["simulators"]["profiles"] == ["simulate"]
    assert services["grafana"]["profiles"] == ["grafana"]
    assert services["influxdb"]["image"].startswith("influxdb:2.7")


def test_ports_are_on_loopback_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]

    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_an_address_of_the_network_is_given_to_what_has_tls_alone(folder: Path) -> None:
    with (folder / ".env").open("a") as env:
        env.write('LAN_ADDRESS=192.168.1.10\nTIRTA_NAMES=["tirta.lan","192.168.1.10"]\n')

    services = yaml.safe_load(_config(folder).stdout)["services"]

    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert sorted(port.rpartition(":")[2] for port in ports if port.startswith("192.168.1.10:")) == ["8443/tcp", "8883/tcp"]
    for name in ("prepare", "tirta"):
        assert json.loads(services[name]["environment"]["TIRTA_TLS_NAMES"]) == ["tirta.lan", "192.168.1.10"]


def test_secrets_stand_in_the_env_file_alone(folder: Path, services: dict[str, Any]) -> None:
    secret = {name: value for name, value in read_env(folder / ".env").items() if name.endswith(("PASSWORD", "TOKEN"))}
    found = {
        f"{name}.{key}": value
        for name, service in services.items()
        for key, value in service.get("environment", {}).items()
        if re.search("PASSWORD|TOKEN|SECRET", key)
    }

    assert len(found) == 5
    assert set(found.values()) == set(secret.values())
    assert not any(value in COMPOSE_FILE.read_text() for value in secret.values())
    asked_for = re.findall(r"\$\{(\w+)(:\?|)", COMPOSE_FILE.read_text())
    assert all(rule == ":?" for name, rule in asked_for if name in secret)


def test_every_service_has_a_health_check_a_restart_and_bounded_logs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        if name == "tirta":
            assert re.search(r"^HEALTHCHECK .*/readyz", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
        else:
            assert service["healthcheck"]["test"], name


def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.search(r":\d+\.\d+", service["image"]), name


def test_mosquitto_and_tirta_are_of_one_account_one_namespace_and_one_volume(services: dict[str, Any]) -> None:
    tirta, mosquitto = services["tirta"], services["mosquitto"]

    assert tirta["pid"] == mosquitto["pid"] == "service:prepare"
    # Only the same account may signal without a capability, and read the files.
    assert tirta["user"] == mosquitto["user"] == services["prepare"]["user"] == "1883:1883"
    assert all("broker:/broker:rw" in service["volumes"] for service in (tirta, mosquitto, services["prepare"]))
    assert "useradd --uid 1883 --gid 1883" in (ROOT / "Dockerfile").read_text()


def test_data_are_in_named_volumes(services: dict[str, Any]) -> None:
    named = yaml.safe_load(COMPOSE_FILE.read_text())["volumes"]
    mounted = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())}

    assert {volume for volume in mounted if not volume.startswith("/")} == set(named)
    assert all(volume.endswith(":ro") for s in services.values() for volume in s.get("volumes", ()) if volume.startswith("/"))


def test_what_the_image_is_built_from_is_there_and_let_through_to_the_build() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert len(copied) >= 12
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name
    assert "*" in ignored
    assert ignored.index("*") == 1


def test_the_image_takes_only_locked_packages_and_runs_as_nobody_special() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)", dockerfile)

    assert installs
    assert all("--require-hashes" in line or "--no-deps dist/*.whl" in line for line in installs)
    final = dockerfile.rpartition("\nFROM ")[2]
    assert "\nUSER 1883:1883\n" in final
    assert "pip" not in final.replace("PIP", "").split("USER")[1]


def test_the_builds_own_tool_is_found_in_the_developers_lock_with_its_hashes(tmp_path: Path) -> None:
    command = re.search(r"RUN (awk '.*?' requirements-dev\.lock)", (ROOT / "Dockerfile").read_text())
    assert command is not None

    told = subprocess.run(["sh", "-c", command[1]], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)

    lines = told.stdout.splitlines()
    assert lines[0].startswith("setuptools==")
    assert len(lines) >= 2
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_deployment_page_tells_of_every_service_volume_and_variable() -> None:
    page = (ROOT / "docs/deployment.md").read_text()
    compose = yaml.safe_load(COMPOSE_FILE.read_text())
    variables = set(re.findall(r"\$\{(\w+)", COMPOSE_FILE.read_text()))

    assert len(variables) == 12
    assert [name for name in {*compose["services"], *compose["volumes"], *variables} if f"`{name}`" not in page] == []
