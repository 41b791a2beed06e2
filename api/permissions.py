# SPDX-License-Identifier: Apache-2.0
"""What each route needs: the one table of it, and the one dependency that asks.

Invariant: a route that is not in the table is refused to everybody. The dependency stands before every route; it looks at
the permission, and at the site that the path names. What only the body or a record names is checked by the route itself, with
`require`. What may not be seen answers as what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from api.errors import Forbidden, Unauthenticated
from api.services import Services
from control.access import Permission, Principal, Scope
from control.database import Database
from control.sight import check, check_scope

__all__ = ["EVERYWHERE", "OPEN", "PERMISSIONS", "SIGNED_IN", "permit", "require"]

OPEN: Final = "open"  # to anybody
SIGNED_IN: Final = "signed-in"  # to anybody who is known

# Operation of the API -> what it needs.
PERMISSIONS: Final[Mapping[str, Permission | str]] = MappingProxyType(
    {
        "is_alive": OPEN,
        "is_ready": OPEN,
        "sign_in": OPEN,
        "accept_invitation": OPEN,
        "begin_sign_on": OPEN,
        "finish_sign_on": OPEN,
        "show_openapi": SIGNED_IN,
        "read_clock": SIGNED_IN,
        "show_catalogue": SIGNED_IN,
        "show_session": SIGNED_IN,
        "change_session": SIGNED_IN,
        "change_password": SIGNED_IN,
        "sign_out": SIGNED_IN,
        "show_metrics": Permission.SEE,
        "list_cities": Permission.SEE,
        "show_city": Permission.SEE,
        "create_city": Permission.ORGANISE,
        "change_city": Permission.ORGANISE,
        "delete_city": Permission.ORGANISE,
        "list_agencies": Permission.SEE,
        "show_agency": Permission.SEE,
        "create_agency": Permission.ORGANISE,
        "change_agency": Permission.ORGANISE,
        "delete_agency": Permission.ORGANISE,
        "list_holidays": Permission.SEE,
        "change_holidays": Permission.BUILD,
        "show_budget": Permission.SEE,
        "change_budget": Permission.BUILD,
        "list_sites": Permission.SEE,
        "show_site": Permission.SEE,
        "create_site": Permission.BUILD,
        "change_site": Permission.BUILD,
        "delete_site": Permission.BUILD,
        "list_devices": Permission.SEE,
        "show_device": Permission.SEE,
        "create_device": Permission.EQUIP,
        "change_device": Permission.EQUIP,
        "change_config": Permission.TUNE,
        "rotate_credential": Permission.EQUIP,
        "certify_device": Permission.EQUIP,
        "revoke_device": Permission.EQUIP,
        "list_zones": Permission.SEE,
        "show_zone": Permission.SEE,
        "explain_zone": Permission.SEE,
        "change_zone": Permission.TUNE,
        "release_zone": Permission.ACTUATE,
        "list_resources": Permission.SEE,
        "show_resource": Permission.SEE,
        "create_resource": Permission.TUNE,
        "change_resource": Permission.TUNE,
        "delete_resource": Permission.TUNE,
        "read_series": Permission.SEE,
        "list_gaps": Permission.SEE,
        "list_schedules": Permission.SEE,
        "show_schedule": Permission.SEE,
        "create_schedule": Permission.SCHEDULE,
        "change_schedule": Permission.SCHEDULE,
        "delete_schedule": Permission.SCHEDULE,
        "preview_schedule": Permission.SCHEDULE,
        "list_suspensions": Permission.SEE,
        "show_suspension": Permission.SEE,
        "create_suspension": Permission.SCHEDULE,
        "end_suspension": Permission.SCHEDULE,
        "list_acts": Permission.SEE,
        "show_act": Permission.SEE,
        "request_act": Permission.ACTUATE,
        "stop_act": Permission.STOP,
        "settle_act": Permission.ACTUATE,
        "stop_zone": Permission.STOP,
        "stop_device": Permission.STOP,
        "begin_site_test": Permission.ACTUATE,
        "begin_device_test": Permission.ACTUATE,
        "list_valve_tests": Permission.SEE,
        "show_valve_test": Permission.SEE,
        "stop_valve_test": Permission.STOP,
        "stop_site": Permission.STOP,
        "stop_agency": Permission.STOP,
        "stop_city": Permission.STOP,
        "list_decisions": Permission.SEE,
        "list_forecasts": Permission.SEE,
        "show_forecast": Permission.SEE,
        "keep_forecast": Permission.SCHEDULE,
        "delete_forecast": Permission.SCHEDULE,
        "report_day": Permission.SEE,
        "list_alarms": Permission.SEE,
        "show_alarm": Permission.SEE,
        "see_alarm": Permission.ATTEND,
        "list_quarantine": Permission.SEE,
        "show_quarantine": Permission.SEE,
        "replay_quarantine": Permission.EQUIP,
        "replay_many": Permission.EQUIP,
        "discard_quarantine": Permission.EQUIP,
        "discard_many": Permission.EQUIP,
        "follow_events": Permission.SEE,
        "list_people": Permission.PEOPLE,
        "show_person": Permission.PEOPLE,
        "create_person": Permission.PEOPLE,
        "change_person": Permission.PEOPLE,
        "grant_roles": Permission.PEOPLE,
        "invite_person": Permission.PEOPLE,
        "end_sessions": Permission.PEOPLE,
        "list_tokens": Permission.TOKENS,
        "create_token": Permission.TOKENS,
        "revoke_token": Permission.TOKENS,
        "list_audit": Permission.AUDIT,
        "verify_audit": Permission.AUDIT,
    }
)

EVERYWHERE: Final = frozenset(
    {"show_metrics", "create_city", "delete_city", "verify_audit"}
)  # need it in the whole installation


async def permit(request: Request) -> None:
    """Let the caller through to this route, or refuse; every route depends on it."""
    name: str = request.scope["route"].name
    needed = PERMISSIONS.get(name)
    if needed == OPEN:
        return
    principal: Principal | None = request.state.principal
    if principal is None:
        raise Unauthenticated
    if needed == SIGNED_IN:
        return
    if not isinstance(needed, Permission) or not principal.somewhere(needed):
        raise Forbidden.needing(str(needed))
    if principal.everywhere(needed) and principal.everywhere(Permission.SEE):
        return
    if name in EVERYWHERE:
        raise Forbidden.needing(f"{needed} on *")
    services: Services = request.app.state.services
    await run_in_threadpool(_check_path, services.database, principal, needed, dict(request.path_params))


def _check_path(database: Database, principal: Principal, needed: Permission, path: Mapping[str, str]) -> None:
    with database.reader() as session:
        for what in ("site", "device", "zone", "resource"):
            if what in path:
                check(session, principal, needed, path[what].partition(":")[0], what, path[what])
        for what in ("city", "agency"):
            if what in path and needed is not Permission.SEE:
                check_scope(session, principal, needed, Scope(what, path[what]))  # type: ignore[arg-type]


def require(services: Services, principal: Principal, permission: Permission, site: str, what: str, key: object) -> None:
    """Check what a body or a record names, at a site; in a thread.

    Raises
    ------
    control.errors.NotFound
        It is not there, or may not be seen.
    control.errors.NotAllowed
        It may be seen, and no more.
    """
    if principal.everywhere(permission) and principal.everywhere(Permission.SEE):
        return
    with services.database.reader() as session:
        check(session, principal, permission, site, what, key)
