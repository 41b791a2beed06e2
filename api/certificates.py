# SPDX-License-Identifier: Apache-2.0
"""A device's certificate at the broker: `/devices/{device}/certificate`.

Invariant: a private key never comes here; the name in the certificate is the device's own, whatever its request says.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access import CallersTrail
from api.bodies import Body
from api.errors import Conflict, InvalidField, Unavailable
from api.names import DeviceId
from api.problems import refusals
from api.services import CertificateRefused, Needs, RequestRefused, Services
from control import registry
from gateway import Address, GatewayError

__all__ = ["router"]

router = APIRouter(prefix="/devices", tags=["devices"])

_PEM = "-----BEGIN {0}-----\n(base64)\n-----END {0}-----\n"


class NewCertificate(Body):
    """A device's request for a certificate."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request": _PEM.format("CERTIFICATE REQUEST")}]})
    request: str = Field(
        description="Signing request (PKCS #10) in PEM; its key counts, the name is the device's own.",
        max_length=16_384,
        examples=[_PEM.format("CERTIFICATE REQUEST")],
    )


class Certificate(BaseModel):
    """By what the device signs in at the broker in place of a password."""

    certificate: str = Field(
        description="The certificate, in PEM; its common name is the device's user name.", examples=[_PEM.format("CERTIFICATE")]
    )
    authority: str = Field(description="The authority's certificate, in PEM.", examples=[_PEM.format("CERTIFICATE")])
    notice: str | None = Field(
        default=None, description="What a person has to do at an outside broker before it counts.", examples=[None]
    )


@router.post("/{device}/certificate", responses=refusals(404, 409))
async def certify_device(device: DeviceId, body: NewCertificate, services: Needs, trail: CallersTrail) -> Certificate:
    """Give a device a certificate for its own key; those it had before count no more."""
    await run_in_threadpool(_require, device, services)
    try:
        made = await services.provisioner.certify(device, body.request, trail)
    except RequestRefused as exc:
        raise InvalidField("request", f"this signing request cannot be taken: {exc}") from exc
    except CertificateRefused as exc:
        raise Conflict(f"No certificate can be given here: {exc}") from exc
    except GatewayError as exc:
        raise Unavailable(
            f"The broker could not be told of a new certificate for {device.key}; ask for another once it answers again."
        ) from exc
    return Certificate(certificate=made.certificate, authority=made.authority, notice=made.notice)


def _require(address: Address, services: Services) -> None:
    with services.database.reader() as session:
        registry.get_device(session, address.key)
