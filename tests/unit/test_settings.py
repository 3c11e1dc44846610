import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_guard.checkpoint import CosignatureVerifier
from agent_guard.errors import GuardError
from agent_guard.settings import DEVNET_RPC, Settings, parse

pytestmark = pytest.mark.unit

WITHOUT_DEFAULT = {"quorum": "1", "signers_listen": "127.0.0.1:8710"}
SECRET = "p4ssw0rd-in-the-url"


def problems(toml: str = "", environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(GuardError) as caught:
        parse(toml, environ or {}, flags)
    assert (caught.value.code, caught.value.exit_code) == ("AG102", 2)
    return caught.value.message


def test_with_nothing_said_the_defaults_hold() -> None:
    settings = parse("", {}, {})
    assert settings.rpc_url == (DEVNET_RPC,)
    assert (settings.network, settings.sandbox, settings.net) == ("devnet", "auto", "none")
    assert settings.record_path == Path("deployments/devnet/Council.json")


@pytest.mark.parametrize(
    ("toml", "environ", "flags", "poll"),
    [
        ("poll = 2", {}, {}, 2.0),
        ("poll = 2", {"AGENT_GUARD_POLL": "3"}, {}, 3.0),
        ("poll = 2", {"AGENT_GUARD_POLL": "3"}, {"poll": 4}, 4.0),
        ("poll = 2", {"AGENT_GUARD_POLL": ""}, {"poll": None}, 2.0),
    ],
    ids=["the file alone", "environment over file", "flags over all", "what is empty says nothing"],
)
def test_flags_win_over_the_environment_and_it_over_the_file(
    toml: str, environ: dict[str, str], flags: dict[str, object], poll: float
) -> None:
    assert parse(toml, environ, flags).poll == poll


def test_foundrys_variable_wins_over_the_file_and_our_own_over_it() -> None:
    toml, foundry, ours = (
        'rpc_url = ["http://a"]',
        {"ETH_RPC_URL": "http://b"},
        {"AGENT_GUARD_RPC_URL": "http://c"},
    )
    assert parse(toml, foundry, {}).rpc_url == ("http://b",)
    assert parse(toml, foundry | ours, {}).rpc_url == ("http://c",)
    assert parse(toml, ours | foundry, {}).rpc_url == ("http://c",)


@pytest.mark.parametrize("text", ["http://a,http://b", " http://a , http://b ,", ",http://a,,http://b"])
def test_several_urls_are_separated_by_commas(text: str) -> None:
    assert parse("", {"ETH_RPC_URL": text}, {}).rpc_url == ("http://a", "http://b")


def test_commas_alone_are_no_url() -> None:
    assert "rpc_url" in problems(environ={"ETH_RPC_URL": " , "})


def test_all_problems_of_all_sources_are_told_at_once() -> None:
    message = problems(
        'poll = -1\nwind = "west"\nnetwork = "../up"',
        {"AGENT_GUARD_MAX_BLOCK_AGE": "soon", "AGENT_GUARD_NONSENSE": "1"},
        sandbox="docker",
    )
    for word in ("poll", "wind", "network", "max_block_age", "AGENT_GUARD_NONSENSE is no setting", "sandbox"):
        assert word in message
    assert message.endswith("Nothing was started.")


def test_a_broken_file_hides_no_problem_of_the_environment() -> None:
    message = problems("poll = = 1", {"AGENT_GUARD_POLL": "x"})
    assert "not TOML" in message
    assert "poll: " in message


@pytest.mark.parametrize(
    "name", ["AGENT_GUARD_DEBUG", "AGENT_GUARD_SOCKET", "AGENT_GUARD_CONFIG", "HOME", "ETH_FROM"]
)
def test_variables_that_are_no_settings_of_ours_are_passed_over(name: str) -> None:
    assert parse("", {name: "x"}, {}) == parse("", {}, {})


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_can_come_from_the_environment(name: str) -> None:
    default = getattr(Settings(), name)
    written = ",".join(default) if isinstance(default, tuple) else str(default)
    value = WITHOUT_DEFAULT.get(name, "x") if default is None else written
    assert getattr(parse("", {f"AGENT_GUARD_{name.upper()}": value}, {}), name) is not None


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e300", "true story", "0x10"])
@pytest.mark.parametrize("name", ["POLL", "MAX_BLOCK_AGE", "UNKNOWN_GRACE", "VOTE_FREEZE", "RPC_TIMEOUT"])
def test_a_limit_that_would_never_end_or_never_begin_is_refused(name: str, text: str) -> None:
    assert name.lower() in problems(environ={f"AGENT_GUARD_{name}": text})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8710", ("127.0.0.1", 8710)),
        ("[::1]:65535", ("::1", 65_535)),
        ("guard.example:1", ("guard.example", 1)),
    ],
)
def test_the_signers_door_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse("", {"AGENT_GUARD_SIGNERS_LISTEN": text}, {}).signers_address == address


def test_signers_have_no_port_unless_one_is_set() -> None:
    assert parse("", {}, {}).signers_address is None


@pytest.mark.parametrize(
    "text",
    ["8710", ":8710", "a:", "a:0", "a:08710", "a:65536", "a:b", "::1:8710", "http://a:1", "a b:1", "a:1\n"],
)
def test_what_is_no_host_and_port_opens_no_door(text: str) -> None:
    assert "signers_listen" in problems(signers_listen=text)


VKEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
OTHER = "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://witness.example", "https://witness.example"),
        ("http://127.0.0.1:8720/", "http://127.0.0.1:8720"),
        ("http://[::1]:8720/a/b-c~d_e/", "http://[::1]:8720/a/b-c~d_e"),
    ],
)
def test_a_witness_is_a_url_and_a_key(url: str, asked: str) -> None:
    (found,) = parse(f'witnesses = ["{url} {VKEY}"]', {}, {}).witness_addresses
    assert (found.url, str(found.key)) == (asked, VKEY)


def test_several_witnesses_are_separated_by_commas_in_the_environment() -> None:
    found = parse("", {"AGENT_GUARD_WITNESSES": f"http://a {VKEY}, http://b {OTHER}"}, {}).witness_addresses
    assert [(one.url, str(one.key)) for one in found] == [("http://a", VKEY), ("http://b", OTHER)]


@pytest.mark.parametrize(
    "text",
    [
        "http://a",
        VKEY,
        f"a {VKEY}",
        f"ftp://a {VKEY}",
        f"http:// {VKEY}",
        f"http://user:pass@a {VKEY}",
        f"http://a?x=1 {VKEY}",
        f"http://a#x {VKEY}",
        f"http://a  {VKEY}",
        f"http://a {VKEY} ",
        f"http://a {VKEY[:-1]}",
        "http://a PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        f"http://{'a' * 3_000} {VKEY}",
    ],
)
def test_what_is_no_url_and_witness_key_is_refused(text: str) -> None:
    assert "witness" in problems(witnesses=(text,))


def test_one_key_is_one_witness_under_whatever_name_or_url() -> None:
    renamed = CosignatureVerifier("another", CosignatureVerifier.parse(VKEY).public_key)
    assert "one key twice" in problems(witnesses=(f"http://a {VKEY}", f"http://b {renamed}"))


def test_witnesses_are_sixteen_at_the_most() -> None:
    many = tuple(f"http://a {CosignatureVerifier('w', bytes([n] * 32))}" for n in range(1, 18))
    assert len(parse("", {}, {"witnesses": many[:16]}).witness_addresses) == 16
    assert "witnesses" in problems(witnesses=many)


@pytest.mark.parametrize("network", ["", ".", "..", "a/b", "A", "a\n", "-x", "x" * 65])
def test_a_network_is_a_plain_folder_name(network: str) -> None:
    assert "network" in problems(network=network)


def test_a_tilde_is_the_home_in_every_path() -> None:
    paths = ("deployments", "home", "operator_keystore", "operator_password_file", "keystores")
    settings = parse("", {}, {name: f"~/x/{name}" for name in paths})
    for name in paths:
        assert getattr(settings, name) == Path.home() / "x" / name


@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.model_fields)), st.just(f"{SECRET}\x00\n{{}}[]=,"), min_size=1
    )
)
def test_no_value_ever_stands_in_an_error(values: dict[str, str]) -> None:
    environ = {f"AGENT_GUARD_{name.upper()}": value for name, value in values.items()}
    said = None
    try:
        parse("", environ, {})
    except GuardError as error:
        said = f"{error} {error.as_dict()}"
    assert said is None or SECRET not in said


@pytest.mark.parametrize(
    "toml",
    [
        f'operator_password_file = ["{SECRET}"]',
        f'rpc_url = {{ url = "https://{SECRET}@node" }}',
        f'poll = "{SECRET}"',
        f'rpc_url = "https://{SECRET}@node',
        f'poll = 1\npoll = "{SECRET}"',
        f'[rpc_url]\nkey = "{SECRET}"',
    ],
)
def test_no_value_of_the_file_stands_in_an_error_however_broken_it_is(toml: str) -> None:
    assert SECRET not in problems(toml)


@given(st.text(max_size=200))
def test_any_text_of_a_file_gives_settings_or_ag102(toml: str) -> None:
    try:
        code = None if math.isfinite(parse(toml, {}, {}).poll) else "endless"
    except GuardError as error:
        code = error.code
    assert code in (None, "AG102")


def test_settings_can_not_be_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse("", {}, {}).poll = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "store",
    ["sqlite", "postgresql://db/logs", "postgres://guard@a:1,b:2/logs?target_session_attrs=read-write"],
)
def test_store_is_a_file_or_a_servers_address(store: str) -> None:
    assert parse("", {"AGENT_GUARD_STORE": store}, {}).store == store


@pytest.mark.parametrize(
    "store",
    [
        f"postgresql://guard:{SECRET}@db/logs",
        f"postgresql://db/logs?password={SECRET}",
        f"postgresql://db/logs?user=a&sslpassword={SECRET}",
        f"mysql://guard:{SECRET}@db/logs",
        f"postgresql://db/logs#{SECRET}",
        f"sqlite:{SECRET}",
    ],
)
def test_store_that_can_not_be_used_is_refused_without_repeating_it(store: str) -> None:
    said = problems("", {"AGENT_GUARD_STORE": store})
    assert "store" in said
    assert SECRET not in said
