"""Request bodies that come packed: gzip is read, and nothing is unpacked without a limit."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest

from gateway.content_coding import is_packed, unpacked
from portico.problems import Problem

pytestmark = pytest.mark.anyio

LIMIT = 100_000
TEXT = json.dumps([{"sku": f"SKU-{number}"} for number in range(3000)]).encode()


@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b" x-gzip "])
def test_gzip_is_read_by_either_name(coding: bytes) -> None:
    assert is_packed(coding)


@pytest.mark.parametrize("coding", [b"", b"identity", b"Identity"])
def test_no_coding_is_nothing_to_unpack(coding: bytes) -> None:
    assert not is_packed(coding)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"deflate", b"gzip, gzip", b"identity, gzip"])
def test_another_coding_is_refused_and_those_that_are_read_are_told(coding: bytes) -> None:
    with pytest.raises(Problem) as caught:
        is_packed(coding)

    assert caught.value.status == 415
    assert ("Accept-Encoding", "gzip, identity") in caught.value.headers


@pytest.mark.parametrize("content", [b"", b"{}", TEXT], ids=["nothing", "little", "much"])
async def test_what_was_packed_is_what_comes_out(content: bytes) -> None:
    assert await unpacked(gzip.compress(content), LIMIT) == content


async def test_members_are_one_body() -> None:
    assert await unpacked(gzip.compress(b"[1,") + gzip.compress(b"2]"), LIMIT) == b"[1,2]"


async def test_the_limit_is_of_what_comes_out() -> None:
    assert len(await unpacked(gzip.compress(b" " * LIMIT), LIMIT)) == LIMIT
    halves = gzip.compress(b" " * (LIMIT // 2)) + gzip.compress(b" " * (LIMIT // 2 + 1))
    for body in (gzip.compress(b" " * (LIMIT + 1)), halves):
        with pytest.raises(Problem) as caught:
            await unpacked(body, LIMIT)
        assert caught.value.status == 413


async def test_a_bomb_is_not_unpacked_to_see_that_it_is_one() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(Problem):
            await unpacked(bomb, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10 * LIMIT


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", gzip.compress(TEXT)[:-9], gzip.compress(b"a")[:-1], gzip.compress(b"a") + b"b"],
    ids=["empty", "plain", "cut", "without its end", "with more"],
)
async def test_what_is_no_gzip_is_a_400(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await unpacked(body, LIMIT)

    assert caught.value.status == 400
    assert "gzip" in str(caught.value.detail)
