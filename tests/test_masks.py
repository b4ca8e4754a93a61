"""Secrets: which values are some, and that no piece of one gets through, however the text is cut."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvsx.engine.masks import MASK, Masker, secrets_from

SECRET = 's3cr3t/+ "quoted" & ümlaut'


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("GITHUB_TOKEN", True),
        ("TOKEN_FILE_CONTENT", True),
        ("MY_SECRET", True),
        ("DbPassword", True),
        ("PAGERDUTY_KEY", True),
        ("SLACK_WEBHOOK_URL", True),
        ("KEYBOARD", False),
        ("PATH", False),
        ("NVSX_TOKEN", False),
        ("NVSX_INCIDENT_KEY", False),
    ],
)
def test_names_that_tell_a_secret(name: str, secret: bool) -> None:
    assert secrets_from({name: "a-long-value"}, {}) == ({"a-long-value"} if secret else set())


def test_every_value_of_the_env_file_is_a_secret_but_nvsx_own_and_short_ones() -> None:
    file = {"CHANNEL": "#gpu-incidents", "NVSX_CONTEXT": "gke_prod_cluster", "DEBUG": "true", "EMPTY": ""}
    assert secrets_from({}, file) == {"#gpu-incidents"}


@pytest.mark.parametrize("where", [0, 1])
def test_the_password_in_the_database_address_is_a_secret(where: int) -> None:
    address = "mongodb://reader:p%40ssw0rd!@db.example:27017/?tls=true"
    given: list[dict[str, str]] = [{}, {}]
    given[where] = {"NVSX_MONGO_URI": address}
    found = secrets_from(given[0], given[1])
    assert found == {address, "p%40ssw0rd!", "p@ssw0rd!"}
    assert secrets_from({"NVSX_MONGO_URI": "mongodb://db.example:27017/"}, {}) == set()
    assert secrets_from({"NVSX_MONGO_URI": "mongodb://u:p@[broken"}, {}) == {"mongodb://u:p@[broken"}


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    ],
)
def test_a_secret_in_any_writing(text: str) -> None:
    assert Masker([SECRET]).mask(f"url={text}&x") == f"url={MASK}&x"


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        ([], "abcdefgh", "abcdefgh"),
        (["1234567"], "1234567", "1234567"),
        (["12345678"], "12345678", MASK),
        ([" 12345678\n"], "x12345678", f"x{MASK}"),
        (["abcdefgh", "abcdefghijkl"], "abcdefghijkl", MASK),
        (["abcdefgh", "efghijkl"], "abcdefghijkl", MASK),
        (["abcdefgh"], "abcdefghabcdefgh", MASK + MASK),
        (["aaaaaaaa"], "a" * 20, MASK),
        (["-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END"], "line 2 is MIIEvQIBADAN.", f"line 2 is {MASK}."),
        (["a\ud800bcdefgh"], "a\ud800bcdefgh", MASK),
        (["latin-\udcfc-1"], "latin-\ufffd-1", MASK),
        (["latin-\udcfc-1"], "latin-%FC-1", MASK),
    ],
)
def test_masking(secrets: list[str], text: str, masked: str) -> None:
    assert Masker(secrets).mask(text) == masked


def test_a_cut_text_shows_no_part_of_a_secret() -> None:
    assert Masker(["abcdefgh"]).mask("xx abcdefgh yy", stop=6) == f"xx {MASK}"
    assert Masker(["abcdefgh"]).mask("xx abcdefgh yy", stop=3) == "xx "
    assert Masker(["abcdefgh"]).mask("xx abcdefgh yy", start=6) == f"{MASK} yy"
    assert Masker(["abcdefgh"]).mask("xx abcdefgh yy", start=11) == " yy"


LETTERS = st.text("ab", min_size=8, max_size=12)


@given(secrets=st.lists(LETTERS, max_size=3), pieces=st.lists(st.text("abc", max_size=20), max_size=8))
def test_a_stream_masks_as_the_whole_text_would(secrets: list[str], pieces: list[str]) -> None:
    masker = Masker(secrets)
    stream = masker.stream()
    assert "".join([*map(stream.feed, pieces), stream.end()]) == masker.mask("".join(pieces))


@given(secret=LETTERS, before=st.text("abc", max_size=20), after=st.text("abc", max_size=20))
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    masked = Masker([secret]).mask(before + secret + after)
    assert MASK in masked
    assert secret not in masked


def test_an_endless_run_of_overlaps_is_not_held_back() -> None:
    stream = Masker(["aaaaaaaa"]).stream()
    shown = "".join(stream.feed("a" * 100) for _ in range(100))
    assert shown == MASK
    assert len(stream._held) < 8
