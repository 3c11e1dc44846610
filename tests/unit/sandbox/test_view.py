"""Which paths an agent may be shown, and what its program needs."""

from pathlib import Path

import pytest

from agent_guard.errors import GuardError
from agent_guard.sandbox.view import ContainerSpec, Limits, agent_uid, check_view, find_program, program_roots
from agent_guard.settings import Settings

pytestmark = pytest.mark.unit


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name in (
        "work",
        "data/deep",
        "home/user/project",
        "home/user/.ssh",
        "guard/keys",
        "guard/work",
        "code/bin",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "guard/keys")
    return tmp_path


def check(host: Path, **fields: object) -> None:
    values = {"argv": ("x",), "work_dir": host / "work", "private": (host / "guard",), **fields}
    spec = ContainerSpec(**values)  # type: ignore[arg-type]
    check_view(spec, roots=(), homes=[host / "home/user"], code=[host / "code"])


def test_ordinary_folders_are_shown(host: Path) -> None:
    check(host, rw=(host / "data",), ro=(host / "home/user/project", Path("/usr/share")))


def test_own_folders_may_lie_in_the_guards_home(host: Path) -> None:
    check(host, work_dir=host / "guard/work", socket_dir=host / "guard/work")


@pytest.mark.parametrize("field", ["rw", "ro"])
@pytest.mark.parametrize(
    "path",
    [
        *(
            "guard",
            "guard/keys",
            "link",
            ".",
            "home/user",
            "home/user/.ssh",
            "home",
            "missing",
            "/",
            "/etc",
            "/proc",
        ),
        *("/proc/sys", "/sys", "/run", "/var", "/dev"),
    ],
)
def test_private_credential_and_host_folders_are_refused(host: Path, field: str, path: str) -> None:
    with pytest.raises(GuardError) as error:
        check(host, **{field: (host / path,)})
    assert error.value.code == "AG404"


@pytest.mark.parametrize("path", ["code", "code/bin", "/usr", "/usr/local", "/bin"])
def test_what_the_guard_runs_from_is_never_writable(host: Path, path: str) -> None:
    with pytest.raises(GuardError) as error:
        check(host, rw=(host / path,))
    assert error.value.code == "AG404"
    check(host, ro=(host / "code",))


@pytest.mark.parametrize("path", ["guard", ".", "home/user", "code", "/etc", "/"])
def test_work_folder_that_would_show_a_secret_is_refused(host: Path, path: str) -> None:
    with pytest.raises(GuardError) as error:
        check(host, work_dir=host / path)
    assert error.value.code == "AG404"


def test_relative_path_is_refused(host: Path) -> None:
    with pytest.raises(GuardError):
        check(host, rw=(Path(),))


def test_program_of_the_system_needs_nothing() -> None:
    assert program_roots(Path("/bin/sh")) == ()


def executable(path: Path, text: str = "\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_virtual_environment_needs_itself_and_its_base(tmp_path: Path) -> None:
    base = executable(tmp_path / "base/bin/python3.11")
    (tmp_path / "base/lib/python3.11").mkdir(parents=True)
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text(f"version = 3.11\nhome = {base.parent}\n")
    (tmp_path / "venv/bin/python").symlink_to(base)
    script = executable(tmp_path / "tool", f"#!{tmp_path}/venv/bin/python\n")
    roots = program_roots(tmp_path / "venv/bin/python")
    assert set(roots) == {tmp_path / "venv", tmp_path / "base"}
    assert set(program_roots(script)) == {script, *roots}


def test_lone_program_needs_only_its_own_file(tmp_path: Path) -> None:
    program = executable(tmp_path / "bin/agent")
    executable(tmp_path / "bin/other")
    assert program_roots(program) == (program,)


def test_env_in_a_first_line_is_followed_through_path(tmp_path: Path) -> None:
    mine = executable(tmp_path / "opt/myshell")
    script = executable(tmp_path / "run", "#!/usr/bin/env -S A=1 myshell -x\n")
    assert set(program_roots(script, str(mine.parent))) == {script, mine}


def test_pyenv_shim_needs_the_whole_of_pyenv(tmp_path: Path) -> None:
    shim = executable(tmp_path / "pyenv/shims/python", "#!/usr/bin/env sh\n")
    (tmp_path / "pyenv/versions").mkdir()
    assert tmp_path / "pyenv" in program_roots(shim, "/bin")


def test_unknown_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GuardError) as error:
        find_program("nothing", str(tmp_path))
    assert error.value.code == "AG405"


def test_agents_users_lie_in_the_range_of_no_account() -> None:
    assert agent_uid(0) == 61184
    assert agent_uid(4336 * 7 + 4335) == 65519
    assert all(61184 <= agent_uid(agent) <= 65519 for agent in (2**256 - 1, 12345, 4336))


def test_limits_without_settings_are_the_settings_defaults() -> None:
    assert Limits() == Limits(Settings().pids_max, Settings().memory_max << 20)
