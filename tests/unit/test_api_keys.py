"""API keys: what is kept of them, and what a change of the file does."""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import get_args

import pytest

from api.api_keys import ApiKeys, Key, KeyFile, OpenTo, Scope, new_key, parse_entry
from embeddings.errors import KeysUnreadable, NotFound, UsageError
from embeddings.settings import read_settings


def test_a_secret_has_256_bits_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    secret, key = new_key("ci", Scope.READ)
    assert re.fullmatch(r"lk_[A-Za-z0-9_-]{43}", secret)
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    KeyFile(tmp_path).add(key)
    text = (tmp_path / "keys.json").read_text()
    assert key.digest in text and secret not in text and secret not in repr(key)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert new_key("ci", Scope.READ)[0] != secret


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "x" * 65, "é", "a\n"])
def test_names_that_would_not_fit_a_setting(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        new_key(name, Scope.READ)


def test_scopes_cover_those_before_them() -> None:
    covered = {(a, b) for a in Scope for b in Scope if a.covers(b)}
    read, write, admin = Scope
    assert covered == {(read, read), (write, read), (write, write), (admin, read), (admin, write), (admin, admin)}


def test_a_running_service_sees_new_and_revoked_keys(tmp_path: Path) -> None:
    keys = ApiKeys(KeyFile(tmp_path), open_to="loopback")
    assert not keys.needed
    secret, key = new_key("ci", Scope.READ)
    KeyFile(tmp_path).add(key)
    assert keys.needed and keys.find(secret) == key and keys.find(secret + "x") is None
    KeyFile(tmp_path).remove("ci")
    assert keys.needed, "a list without keys lets nobody in"
    assert keys.find(secret) is None
    (tmp_path / "keys.json").unlink()
    assert keys.needed, "a list that is gone lets nobody in"


def test_who_needs_a_key_where_there_is_none(tmp_path: Path) -> None:
    addresses = ("127.0.0.1", "::1", "192.168.0.7", "2001:db8::1", "-")
    needed = {
        open_to: [ApiKeys(KeyFile(tmp_path), open_to=open_to).needed_by(address) for address in addresses]
        for open_to in get_args(OpenTo)
    }
    assert needed == {
        "nobody": [True] * 5,
        "loopback": [False, False, True, True, True],
        "anyone": [False] * 5,
    }


def test_without_the_file_a_public_service_stays_shut(tmp_path: Path) -> None:
    assert ApiKeys(KeyFile(tmp_path)).needed


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.add(new_key("ci", Scope.READ)[1])
    with pytest.raises(UsageError, match="ci already"):
        file.add(new_key("ci", Scope.ADMIN)[1])
    with pytest.raises(NotFound, match="nosuch"):
        file.remove("nosuch")
    assert [key.name for key in KeyFile(tmp_path).read()] == ["ci"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{}]}', '{"keys": [{"name": "a", "scope": "god"}]}'])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    secret, key = new_key("ci", Scope.READ)
    file = KeyFile(tmp_path)
    file.add(key)
    keys = ApiKeys(file, open_to="loopback")
    assert keys.find(secret)
    file.path.write_text(text)
    os.utime(file.path, ns=(1, 1))
    with pytest.raises(KeysUnreadable, match=r"keys\.json"):
        keys.find(secret)


def test_keys_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret, key = new_key("fleet", Scope.WRITE)
    monkeypatch.setenv("LOOKALIKE_API_KEYS", f"{key.entry}, ops:admin:{'0' * 64}")
    fixed = list(map(parse_entry, read_settings().api_keys))
    assert fixed[0] == Key("fleet", Scope.WRITE, key.digest) and fixed[1].scope == Scope.ADMIN
    keys = ApiKeys(KeyFile(tmp_path), fixed, open_to="loopback")
    assert keys.needed and keys.find(secret) == fixed[0]


def test_a_secret_put_there_by_mistake_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_API_KEYS", "lk_verysecret")
    with pytest.raises(UsageError, match="LOOKALIKE_API_KEYS") as caught:
        read_settings()
    assert "verysecret" not in caught.value.message
