"""The small connector as an API: under its contract, with the gateway's problems."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from portico.problems import Problem
from portico.testing import APIUnderTest
from tests.portico.connectors.conftest import Post
from tests.portico.connectors.parcels import doctor, handlers
from tests.support.examine import examine

pytestmark = pytest.mark.anyio

CONTRACT = Path(__file__).parent / "parcels" / "parcels.v1.yaml"
CANONICAL = Path(__file__).parents[3] / "specs" / "openapi" / "canonical"
PARCEL = {
    "id": "1",
    "reference": "R-1",
    "postage": {"amount": "4.95", "currency": "EUR"},
    "updatedAt": "2026-11-02T09:30:00Z",
}


@pytest.fixture
def api(post: Post, tmp_path: Path) -> APIUnderTest:
    """The API, with its contract beside the canonical model."""
    shutil.copytree(CANONICAL, tmp_path / "openapi" / "canonical")
    (tmp_path / "openapi" / "system").mkdir()
    contract = shutil.copy(CONTRACT, tmp_path / "openapi" / "system")
    return APIUnderTest(Path(contract), handlers, resources=post.parcels)


async def test_a_parcel_is_put_once_for_its_key_and_read(post: Post, api: APIUnderTest) -> None:
    first, again = [
        await api.invoke("putParcel", {"key": "K-1"}, body={"reference": "R-1"}) for _ in range(2)
    ]

    assert first.body == again.body == PARCEL
    assert (await api.invoke("getParcel", {"parcelId": "1"})).body == PARCEL
    assert (await api.invoke("listParcels")).body == {"items": [PARCEL]}
    assert len(post.service.parcels) == 1


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (JSONResponse({"failure": {"code": "unknown", "text": "no"}}), 404),
        (JSONResponse({"failure": {"code": "known", "text": "no"}}, 400), 409),
        (JSONResponse({"failure": {"code": "odd", "text": "no"}}, 400), 422),
        (Response(status_code=429, headers={"retry-after": "60"}), 503),
        (Response(status_code=403), 502),
    ],
)
async def test_a_failure_is_the_problem_that_others_get_of_it_too(
    post: Post, api: APIUnderTest, refused: Response, status: int
) -> None:
    post.service.instead.append(refused)

    with pytest.raises(Problem) as raised:
        await api.invoke("getParcel", {"parcelId": "1"})

    assert raised.value.status == status
    assert raised.value.extensions["system"] == "parcels"


async def test_what_the_contract_does_not_allow_does_not_reach_the_service(
    post: Post, api: APIUnderTest
) -> None:
    with pytest.raises(Problem) as raised:
        await api.invoke("putParcel", {"key": "K-1"}, body={"reference": "R" * 36})

    assert raised.value.status == 422
    assert post.service.seen == []


async def test_the_doctor_examines_it(post: Post) -> None:
    checks = await examine(doctor, post.parcels)

    assert all(check.well for check in checks)
    assert [check.name for check in checks] == ["reachable", "credentials", "clock", "permission"]
