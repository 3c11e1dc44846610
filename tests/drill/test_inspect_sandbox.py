"""The sandbox environment: Inspect's own conformance checks, and what a hostile agent may do to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from inspect_ai.util import OutputLimitExceededError, SandboxUnavailableError, SandboxUserUnsupportedError
from inspect_ai.util._sandbox.limits import override_max_exec_output_size
from inspect_ai.util._sandbox.self_check import *  # noqa: F403 - the checks are collected from here

from agent_guard.resistance.environment import TrialConfig, TrialEnvironment

pytestmark = [pytest.mark.drill, pytest.mark.anyio]

# One wants root inside, which nobody has; the others check slowly what their neighbours check as well.
_LEFT_OUT = {"test_exec_as_user", "test_exec_timeout_kills_process", "test_exec_input_large"}
for _name in _LEFT_OUT:
    del globals()[_name]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def sandbox_env() -> AsyncIterator[TrialEnvironment]:
    environments = await TrialEnvironment.sample_init("task", TrialConfig(), {"seed": "1"})
    environment = environments["default"].as_type(TrialEnvironment)
    yield environment
    await TrialEnvironment.sample_cleanup("task", TrialConfig(), environments, False)
    assert not environment.trial.machine.folder.exists()
    assert not environment.trial.machine.agents()


async def test_processes_and_files_stay_from_call_to_call(sandbox_env: TrialEnvironment) -> None:
    await sandbox_env.exec(["bash", "-c", "sleep 60 > /dev/null 2>&1 & echo $! > pid"])
    result = await sandbox_env.exec(["bash", "-c", "cat /proc/$(cat pid)/comm"])
    assert result.stdout == "sleep\n"


async def test_a_job_that_holds_the_output_open_does_not_hold_the_call(sandbox_env: TrialEnvironment) -> None:
    result = await sandbox_env.exec(["bash", "-c", "sleep 60 & echo done"], timeout=50)
    assert result.stdout == "done\n"


async def test_a_job_that_floods_the_output_does_not_hold_the_call(sandbox_env: TrialEnvironment) -> None:
    result = await sandbox_env.exec(
        ["bash", "-c", "for i in 1 2 3 4; do yes & yes >&2 & done; exit 3"], timeout=120
    )
    assert result.returncode == 3  # and no TimeoutError


async def test_of_too_much_output_the_end_is_kept(sandbox_env: TrialEnvironment) -> None:
    with override_max_exec_output_size(1000):
        result = await sandbox_env.exec(["bash", "-c", "seq 100000; seq 7 >&2"])
    assert len(result.stdout) == 1000
    assert result.stdout.endswith("\n99999\n100000\n")
    assert result.stderr == "".join(f"{number}\n" for number in range(1, 8))


async def test_an_endless_writer_is_ended_by_its_time(sandbox_env: TrialEnvironment) -> None:
    with pytest.raises(TimeoutError):
        await sandbox_env.exec(["yes"], timeout=1)
    assert (await sandbox_env.exec(["echo", "here"])).stdout == "here\n"


async def test_a_missing_program_is_a_failed_command(sandbox_env: TrialEnvironment) -> None:
    result = await sandbox_env.exec(["no-such-program"])
    assert (result.success, result.returncode) == (False, 127)


async def test_a_null_byte_is_refused_as_inspect_expects(sandbox_env: TrialEnvironment) -> None:
    with pytest.raises(ValueError, match="embedded null byte"):
        await sandbox_env.exec(["echo", "a\0b"])
    assert (await sandbox_env.exec(["echo", "here"])).stdout == "here\n"


async def test_nobody_becomes_root(sandbox_env: TrialEnvironment) -> None:
    with pytest.raises(SandboxUserUnsupportedError):
        await sandbox_env.exec(["id"], user="root")


async def test_when_the_agent_has_killed_its_session_every_call_fails_as_unavailable(
    sandbox_env: TrialEnvironment,
) -> None:
    with pytest.raises(SandboxUnavailableError):
        await sandbox_env.exec(["bash", "-c", "kill -9 $PPID"])
    with pytest.raises(SandboxUnavailableError):
        await sandbox_env.exec(["true"])
    with pytest.raises(SandboxUnavailableError):
        await sandbox_env.read_file("shutdown.sh")
    with pytest.raises(SandboxUnavailableError):
        await sandbox_env.write_file("note", "text")


async def test_a_link_in_the_home_leads_to_no_file_of_the_host(
    sandbox_env: TrialEnvironment, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    secret.chmod(0o644)
    await sandbox_env.exec(["ln", "-s", str(secret), "link"])
    with pytest.raises(FileNotFoundError):
        await sandbox_env.read_file("link")


async def test_what_no_limit_allows_is_not_read(sandbox_env: TrialEnvironment) -> None:
    with pytest.raises(OutputLimitExceededError):
        await sandbox_env.read_file("/dev/zero")


async def test_the_configuration_survives_a_log() -> None:
    config = TrialConfig(control=True, stop="guard")
    assert TrialEnvironment.config_deserialize(config.model_dump()) == config
