# SPDX-License-Identifier: Apache-2.0
"""One story for each role, from signing in to done: what somebody comes for, what they see, and what they must not.

The same on both control databases, on one service each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.city import PASSWORD, City, Valve
from tests.servers.postgres import SORTS, Postgres
from tests.servers.tirta import Tirta, eventually

pytestmark = pytest.mark.slow

DLH = "agency:bpp:dlh"
IRRIGATION = {"type": "irrigation", "low": 0.22, "high": 0.3, "hours": [["05:00", "08:00"]], "litres_day": 200.0}
LATER = "2027-06-01T00:00:00Z"


@pytest.fixture(scope="module", params=SORTS)
def city(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    environment = {}
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres_server")
        environment["TIRTA_DATABASE"] = server.make_database()
    with Tirta(tmp_path_factory.mktemp("city"), environment=environment) as tirta, City(tirta) as city:
        yield city


def test_a_viewer_sees_how_the_beds_are_and_what_was_done_and_touches_nothing(city: City) -> None:
    with Valve(city.tirta, city.add_device("taman-kota", "bedeng-lihat")) as valve:
        valve.begin().publish({"soil_moisture": 0.31})
    zone = "taman-kota:bedeng-lihat:1"
    with city.invite("lia", "viewer", DLH) as lia:
        eventually(lambda: "soil_moisture" in lia.get(f"zones/{zone}")["latest"], "the bed's moisture is seen")
        assert lia.get(f"zones/{zone}")["latest"]["soil_moisture"]["value"] == 0.31
        eventually(lambda: lia.items(f"zones/{zone}/series?quantities=soil_moisture"), "its series is there")
        act = city.root.ask("POST", "acts", 201, {"zone": zone, "action": "irrigate", "seconds": 30}).json()
        shown = lia.get(f"acts/{act['id']}")
        assert shown["sentence"]["id"]
        assert shown["sentence"]["id"] != shown["sentence"]["en"]
        assert {site["id"] for site in lia.items("sites")} == {"taman-kota"}
        assert not any("kolam-kota" in str(lia.get(noun)) for noun in ("devices", "zones", "acts", "agencies", "quarantine"))
        lia.refused(
            ("POST", "acts", {"zone": zone, "action": "irrigate", "seconds": 5}),
            ("POST", f"zones/{zone}/stop", None),
            ("PATCH", f"zones/{zone}", {"title": "X"}),
            ("GET", "people", None),
            ("GET", "audit", None),
        )
        lia.refused(("GET", "zones/kolam-kota:rahasia:1", None), ("GET", "sites/kolam-kota", None), status=404)
        lia.ask("DELETE", "session", 204)
        assert "masuk" in lia.ask("GET", "sites", 401).json()["detail"].lower()


def test_an_operator_waters_a_bed_keeps_its_schedule_and_stops_it(city: City) -> None:
    login = city.add_device("taman-kota", "bedeng-siram")
    zone = "taman-kota:bedeng-siram:1"
    watering = {"zone": zone, "action": "irrigate", "seconds": 120}
    with Valve(city.tirta, login) as valve, city.invite("oki", "operator", DLH) as oki:
        valve.begin()
        act = oki.ask("POST", "acts", 201, watering, idempotency_key="once").json()
        assert oki.ask("POST", "acts", 201, watering, idempotency_key="once").json()["id"] == act["id"]
        valve.answer(valve.command("irrigate"), "accepted", "running", "done", seconds=120, litres=20.0)
        eventually(lambda: oki.get(f"acts/{act['id']}")["state"] == "done", "the bed is watered")
        assert oki.get(f"acts/{act['id']}")["result"]["litres"] == 20.0

        second = oki.ask("POST", "acts", 201, watering).json()
        eventually(lambda: valve.command("irrigate")["id"] == second["id"], "the second is sent")
        valve.answer(valve.command("irrigate"), "running")
        oki.ask("POST", f"zones/{zone}/stop", 201)
        valve.answer(valve.command("stop"), "done")
        valve.answer(valve.command("irrigate"), "done", seconds=4)
        eventually(lambda: oki.get(f"acts/{second['id']}")["state"] == "done", "and stopped")

        schedule = oki.ask("POST", "schedules", 201, {"zone": zone, "definition": IRRIGATION})
        path, seen = f"schedules/{schedule.json()['id']}", schedule.headers["etag"]
        oki.ask("PUT", path, 200, {"definition": {**IRRIGATION, "litres_day": 150.0}}, if_match=seen)
        late = oki.ask("PUT", path, 412, {"definition": IRRIGATION}, if_match=seen)
        assert "oki" in late.json()["detail"]
        oki.ask("DELETE", path, 204)
        oki.refused(
            ("PATCH", f"zones/{zone}", {"litres_day": 9.0}),
            ("DELETE", "devices/taman-kota:bedeng-siram", None),
            ("POST", "people", {"login": "teman", "title": "T", "home": DLH}),
        )
        oki.refused(("POST", "acts", {**watering, "zone": "kolam-kota:rahasia:1"}), status=404)


def test_an_agronomist_sets_what_a_bed_is_like_and_the_device_is_told_its_limits(city: City) -> None:
    login = city.add_device("taman-kota", "bedeng-atur")
    zone = "taman-kota:bedeng-atur:1"
    with Valve(city.tirta, login) as valve, city.invite("agus", "agronomist", DLH) as agus:
        valve.begin()
        before = agus.ask("GET", f"zones/{zone}", 200)
        limits = {"litres_day": 90.0, "max_seconds": 240, "root_depth_m": 0.25}
        changed = agus.ask("PATCH", f"zones/{zone}", 200, limits, if_match=before.headers["etag"], x_reason="musim%20hujan")
        assert changed.json()["parameters"]["root_depth_m"] == 0.25
        eventually(lambda: any(told["zones"]["1"]["max_seconds"] == 240 for told in valve.said("config")), "the device is told")
        too_much = agus.ask("POST", "acts", 422, {"zone": zone, "action": "irrigate", "seconds": 300})
        assert too_much.json()["errors"][0]["field"] == "seconds"
        agus.ask("POST", "schedules", 201, {"zone": zone, "definition": {**IRRIGATION, "litres_day": 80.0}})
        entry = city.root.items(f"audit?target=zone:{zone}")[0]
        assert (entry["actor"], entry["why"], entry["after"]["litres_day"]) == ("agus", "musim hujan", 90.0)
        body = {"site": "taman-kota", "device": "baru", "kind": "irrigation-controller", "title": "Baru"}
        agus.refused(("POST", "devices", body), ("PATCH", "sites/taman-kota", {"title": "X"}), ("GET", "tokens", None))
        agus.refused(("PATCH", "zones/kolam-kota:rahasia:1", limits), status=404)


def test_an_agencys_administrator_sets_up_a_site_with_its_device_and_people(city: City) -> None:
    with city.invite("ayu", "agency-admin", DLH, home=DLH) as ayu, city.browser() as opi:
        site = {"site": "taman-baru", "title": "Taman Baru", "timezone": "Asia/Makassar", "agency": "bpp:dlh"}
        ayu.ask("POST", "sites", 201, site)
        body = {"site": "taman-baru", "device": "bedeng", "kind": "irrigation-controller", "title": "Bedeng"}
        made = ayu.ask("POST", "devices", 201, body).json()["credential"]
        assert made["password"] not in str(ayu.get("devices/taman-baru:bedeng"))
        with Valve(city.tirta, (made["username"], made["password"])) as valve:
            valve.begin()
            eventually(lambda: ayu.get("devices/taman-baru:bedeng")["online"], "the device is there")
            grants = [{"role": "operator", "on": "site:taman-baru"}]
            person = ayu.ask("POST", "people", 201, {"login": "opi", "title": "Opi", "home": DLH, "grants": grants}).json()
            code = ayu.ask("POST", f"people/{person['id']}/invitation", 201).json()["code"]
            opi.enter("opi", code)
            assert {each["id"] for each in opi.items("sites")} == {"taman-baru"}
            ayu.ask("PATCH", f"people/{person['id']}", 200, {"disabled": True})
            opi.ask("GET", "sites", 401)
            ayu.ask("DELETE", "devices/taman-baru:bedeng", 204)
            eventually(lambda: not valve.connected, "a revoked device is put out")
        ayu.refused(
            ("POST", "acts", {"zone": "taman-baru:bedeng:1", "action": "irrigate", "seconds": 5}),
            ("POST", "agencies", {"city": "bpp", "agency": "lain", "title": "L"}),
            ("POST", "people", {"login": "atas", "title": "A", "home": DLH, "grants": [{"role": "viewer", "on": "*"}]}),
            ("PUT", f"people/{ayu.person['id']}/grants", {"grants": []}),
            ("GET", "audit", None),
        )
        ayu.refused(("POST", "sites", {**site, "site": "curian", "agency": "bpp:dkp"}), status=404)
        assert {person["home"] for person in ayu.items("people")} == {DLH}


def test_the_supervisor_sees_every_agency_stops_what_runs_and_knows_who_did_it(city: City) -> None:
    login = city.add_device("kolam-kota", "bedeng-jalan")
    zone = "kolam-kota:bedeng-jalan:1"
    with Valve(city.tirta, login) as valve, city.invite("sri", "supervisor", "*") as sri:
        valve.begin()
        with city.invite("danu", "operator", "site:kolam-kota") as danu:
            act = danu.ask("POST", "acts", 201, {"zone": zone, "action": "irrigate", "seconds": 300}).json()
            valve.answer(valve.command("irrigate"), "accepted", "running")
            assert {"taman-kota", "kolam-kota"} <= {site["id"] for site in sri.items("sites")}
            eventually(lambda: sri.get(f"acts/{act['id']}")["state"] == "running", "it is seen to run")
            sri.ask("POST", "devices/kolam-kota:bedeng-jalan/stop", 201, x_reason="pipa%20bocor")
            valve.answer(valve.command("stop"), "done")
            valve.answer(valve.command("irrigate"), "done", seconds=3)
            eventually(lambda: sri.get(f"acts/{act['id']}")["state"] == "done", "it is stopped")
            asked = sri.items(f"audit?target=act:{act['id']}")
            assert [(entry["actor"], entry["action"]) for entry in asked] == [("danu", "act.request")]
            stopped = sri.items("audit?actor=sri&action=act.stop")[0]
            assert (stopped["why"], stopped["site"]) == ("pipa bocor", "kolam-kota")
            sri.ask("PUT", f"people/{danu.person['id']}/grants", 200, {"grants": []})
            danu.ask("GET", "acts", 403)  # from the next request on
        agency = sri.ask("POST", "agencies", 201, {"city": "bpp", "agency": "baru", "title": "Dinas Baru"}).json()
        sri.ask("DELETE", f"agencies/{agency['id']}", 204)
        assert sri.get("audit/verdict")["sound"] is True
        sri.refused(("POST", "acts", {"zone": zone, "action": "irrigate", "seconds": 5}))


def test_a_partner_tries_a_device_of_their_own_and_sees_why_its_data_are_refused(city: City) -> None:
    with city.invite("poli", "partner", "site:taman-kota") as poli, city.browser() as program:
        body = {"site": "taman-kota", "device": "uji", "kind": "irrigation-controller", "title": "Uji"}
        first = poli.ask("POST", "devices", 201, body).json()["credential"]
        second = poli.ask("POST", "devices/taman-kota:uji/credential", 200).json()
        assert first["password"] != second["password"]
        with Valve(city.tirta, (second["username"], second["password"])) as valve:
            valve.begin().publish({"soil_moistur": 0.3})
            kept = eventually(lambda: poli.items("quarantine?site=taman-kota&device=uji"), "what was wrong is kept")
            assert (kept[0]["reason"], "soil_moisture" in kept[0]["detail"]) == ("unknown-quantity", True)
            assert "soil_moistur" in poli.get(f"quarantine/{kept[0]['id']}")["payload_text"]
            told = eventually(lambda: valve.said("error"), "the device is told")
            assert told[0]["code"] == "unknown-quantity"
        grants = [{"role": "viewer", "on": "site:taman-kota"}]
        made = poli.ask("POST", "tokens", 201, {"name": "ci-uji", "grants": grants, "expires": LATER}).json()
        program.http.headers["authorization"] = f"Bearer {made['token']}"
        assert program.get("devices/taman-kota:uji")["title"] == "Uji"
        program.refused(("DELETE", "devices/taman-kota:uji", None), ("POST", "tokens", {"name": "x"}))
        poli.ask("DELETE", f"tokens/{made['id']}", 204)
        program.ask("GET", "devices", 401)
        poli.ask("DELETE", f"quarantine/{kept[0]['id']}", 204)
        more = {"name": "lebih", "grants": [{"role": "supervisor", "on": "*"}], "expires": LATER}
        poli.refused(("POST", "tokens", more), ("GET", "people", None), ("POST", "sites", {**body, "timezone": "Asia/Jakarta"}))
        poli.refused(
            ("POST", "devices", {**body, "site": "kolam-kota"}), ("GET", "devices/kolam-kota:rahasia", None), status=404
        )


def test_an_auditor_reads_who_did_what_and_that_nothing_of_it_was_changed(city: City) -> None:
    with city.invite("audi", "auditor", "*") as audi:
        city.root.ask("PATCH", "sites/taman-kota", 200, {"title": "Taman Bekapai"}, x_reason="nama%20resmi")
        entry = audi.items("audit?target=site:taman-kota&action=site.change")[0]
        assert (entry["before"], entry["after"]) == ({"title": "taman-kota"}, {"title": "Taman Bekapai"})
        assert (entry["why"], entry["address"]) == ("nama resmi", "127.0.0.1")
        own = audi.items("audit?actor=audi")
        assert {"person.accept", "session.open"} <= {each["action"] for each in own}
        whole = audi.get("audit?limit=1000")["items"]
        assert not any(PASSWORD in str(each) or "__Host-" in str(each) for each in whole)
        verdict = audi.get("audit/verdict")
        assert (verdict["sound"], verdict["entries"] >= len(whole)) == (True, True)
        run = city.tirta.run("audit", "verify", "--expect", f"{verdict['entries']}:{verdict['head']}")
        assert run.returncode == 0, run.stderr
        audi.refused(
            ("PATCH", "sites/taman-kota", {"title": "X"}),
            ("POST", "cities", {"city": "x", "title": "X"}),
            ("GET", "people", None),
            ("POST", "acts", {"zone": "kolam-kota:rahasia:1", "action": "irrigate", "seconds": 5}),
        )


def test_nobody_gets_in_without_signing_in(city: City) -> None:
    with city.browser() as nobody:
        for path in ("sites", "zones/kolam-kota:rahasia:1", "audit", "people", "events", "nothing-there"):
            nobody.ask("GET", path, 401)
        nobody.ask("POST", "acts", 401, {"zone": "kolam-kota:rahasia:1", "action": "irrigate", "seconds": 5})
        for login in ("sri", "nobody-of-this-name"):
            answer = nobody.ask("POST", "session", 401, {"login": login, "password": "wrong password"})
            assert "set-cookie" not in answer.headers
        nobody.ask("POST", "invitation", 404, {"code": "made-up", "password": PASSWORD})
