"""`lookalike keys` as an operator uses it; no command here loads a model."""

import pytest


def test_a_key_is_made_listed_and_revoked(lookalike):
    made = lookalike("keys", "create", "ci", "--scope", "read")
    assert (
        made.status == 0 and made.out.startswith("lk_") and made.out.count("\n") == 1 and "not shown again" in made.err
    )
    listed = lookalike("keys", "list")
    assert listed.out.split()[:2] == ["ci", "read"] and made.out.strip() not in listed.out
    assert lookalike("keys", "create", "ci", "--scope", "admin").status == 2
    revoked = lookalike("keys", "revoke", "ci")
    assert revoked.status == 0 and "revoked ci" in revoked.err and "nobody gets in" in revoked.err
    assert lookalike("keys", "list", "--json").json == {"keys": []}
    again = lookalike("keys", "revoke", "ci")
    assert again.status == 2 and "there is no key 'ci'" in again.err


def test_a_key_for_a_fleet_is_kept_in_its_settings(lookalike):
    made = lookalike("keys", "create", "fleet", "--scope", "write", "--entry", "--json").json
    assert made["entry"].startswith("fleet:write:") and made["key"] not in made["entry"]
    assert not (lookalike.data / "keys.json").exists()
    settings = {"LOOKALIKE_API_KEYS": made["entry"]}
    (listed,) = lookalike("keys", "list", "--json", **settings).json["keys"]
    assert (listed["name"], listed["kept_in"]) == ("fleet", "LOOKALIKE_API_KEYS")
    assert "restart the service" in lookalike("keys", "revoke", "fleet", **settings).err
    assert "LOOKALIKE_API_KEYS has a key" in lookalike("keys", "create", "fleet", "--scope", "read", **settings).err


@pytest.mark.parametrize("command", ["serve", "run"])
def test_others_are_not_let_in_without_keys(lookalike, command):
    refused = lookalike(command, "--host", "0.0.0.0", "--port", 0)
    assert refused.status == 2 and "lookalike keys create" in refused.err and "--allow-anyone" in refused.err
