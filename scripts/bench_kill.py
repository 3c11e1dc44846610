#!/usr/bin/env python3
"""Measure how fast a halt takes force, stage by stage, beside what plain kills do to the same trees.

Guarantees: the guard's parts are the product's own (readers, watcher, carrier, supervisor, container, deadman) on a
real Anvil over WebSocket; the block's time is taken by another process that hears of it from the node itself; what is
left alive is counted from /proc by a mark. Opens sockets on 127.0.0.1 only, is bounded in count, and ends by process
id what it started. Needs root for the cgroup's part. Times in milliseconds, of CLOCK_MONOTONIC, which processes share.

    python scripts/bench_kill.py [--n 100] [--processes 1,100,500] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from bench_kill_chain import Chain
from bench_kill_trees import PATIENCE, Row, argv, await_tree, marked, plain, row

from agent_guard.chain.subscription import HeadSubscription, websocket_url
from agent_guard.chain.view import ChainView, Pace
from agent_guard.guard.ballots import BallotBox
from agent_guard.guard.carrier import Carrier
from agent_guard.guard.evidence import Limits
from agent_guard.guard.supervisor import Supervisor
from agent_guard.guard.watcher import Keeping, Watcher
from agent_guard.sandbox.cgroup import Cgroup
from agent_guard.sandbox.container import Container, Death
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import Choice, choose_mode
from agent_guard.sandbox.view import ContainerSpec
from agent_guard.typed_data.recover import recover_signer
from agent_guard.types import FLEET
from agent_guard.wiring.guarding import SWITCH_SECONDS

POLL = 0.2
GUARD = """
import sys, time
from pathlib import Path
from agent_guard.sandbox.deadman import Deadman
from agent_guard.sandbox.launch import launch
from agent_guard.sandbox.mode import choose_mode
from agent_guard.sandbox.view import ContainerSpec
spec = ContainerSpec(argv=tuple(sys.argv[2:]), work_dir=Path(sys.argv[1]))
container = launch(spec, choose_mode(), deadman=Deadman(10))
print("up", flush=True)
time.sleep(60)
"""


# ------------------------------------------------------------------------------------------------------- agents' trees


class Host:
    """Starts containers in folders of its own."""

    def __init__(self, folder: Path, choice: Choice) -> None:
        self.folder, self.choice = folder, choice

    def start(self, name: str, processes: int, deadman: Deadman | None = None) -> Container:
        work = self.folder / name
        work.mkdir(exist_ok=True)
        spec = ContainerSpec(argv=argv(processes, name), work_dir=work, name=name)
        container = launch(spec, self.choice, subprocess.DEVNULL, subprocess.DEVNULL, deadman)
        # bubblewrap's own two processes are in the container as well
        await_tree(lambda: len(container.processes()) - 2, processes)
        return container


# ------------------------------------------------------------------------------------------------------------- stages


@contextmanager
def guarding(chain: Chain, agents: dict[str, bytes], subscribe: bool, poll: float) -> Iterator[Watcher]:
    """The kill path's watching, as `agent-guard run` builds it. Votes below the quorum don't freeze here."""
    # The chain makes blocks only when votes come: here an old one is no sign of an outage.
    limits = Limits(3600.0, 3600.0, 120.0, freeze_on_vote=False, lease_grace=0.0)
    view = ChainView([chain.contract], list(agents.values()), Pace(poll))
    box = BallotBox(chain.chain_id, chain.contract.address)
    watcher = Watcher(agents, view, limits, poll, box, Keeping({}, lambda name, latch: None))
    subscription = HeadSubscription(websocket_url(chain.url), watcher.poke, 3.0)
    watcher.begin(5.0)
    watcher.start()
    if subscribe:
        subscription.start()
        while not subscription.connected:
            time.sleep(0.01)
    try:
        yield watcher
    finally:
        watcher.stop()
        subscription.stop()


def death_of(watcher: Watcher, name: str, container: Container, stop: Callable[[], None]) -> Death:
    """Attaches the container's keeper, has the stop come, and waits for the death."""
    supervisor = Supervisor(container, lambda occurrence: None)
    carrier = Carrier(name, supervisor.apply, lambda error: watcher.condemn(name, repr(error)))
    watcher.attach(name, carrier.apply)
    stop()
    deadline = time.monotonic() + PATIENCE
    while container.death is None and time.monotonic() < deadline:
        time.sleep(0.001)
    carrier.close()
    watcher.detach(name)
    if container.death is None or container.death.frozen_at is None:
        raise SystemExit(f"{name} was not frozen and killed within {PATIENCE:g} s")
    return container.death


def halts(chain: Chain, host: Host, processes: int, n: int) -> list[Row]:
    """A halt by votes over WebSocket: from the block at the node to frozen, and from frozen to nothing left."""
    frozen, killed = [], []
    agents = chain.register(f"halt-{processes}", n)
    for name, identity in agents.items():
        chain.vote(identity, 0)
        with (
            guarding(chain, {name: identity}, subscribe=True, poll=1.0) as watcher,
            closing(host.start(name, processes)) as container,
        ):
            death = death_of(watcher, name, container, lambda identity=identity: chain.vote(identity, 1))
            frozen.append((death.frozen_at - chain.seen_at()) / 1e6)
            killed.append((death.dead_at - death.frozen_at) / 1e6)
    bare = row("a bare cgroup.kill of the same tree", processes, bare_kills(host, processes, n))
    return [
        row("halt in a block the node has -> frozen", processes, frozen, target50=12.0, target99=60.0),
        row("frozen -> nothing left", processes, killed, target50=1.5 * bare.p50),
        bare,
    ]


def bare_kills(host: Host, processes: int, n: int) -> list[float]:
    times = []
    for number in range(n):
        with closing(host.start(f"bare-{processes}-{number}", processes)) as container:
            leaf = container.leaf
            assert isinstance(leaf, Cgroup)
            leaf.freeze(PATIENCE)
            began = time.monotonic_ns()
            leaf.kill()
            if not leaf.wait_empty(PATIENCE):
                raise SystemExit("a bare cgroup.kill left something alive")
            times.append((time.monotonic_ns() - began) / 1e6)
    return times


def ballots(chain: Chain, host: Host, n: int) -> Row:
    """Two signed ballots handed to the guard: from the first's arrival to frozen; no block is made meanwhile."""
    times = []
    agents = chain.register("ballots", n)
    for name, identity in agents.items():
        signed = [chain.ballot(identity, number) for number in (0, 1)]
        began = [0]
        with (
            guarding(chain, {name: identity}, subscribe=True, poll=1.0) as watcher,
            closing(host.start(name, 100)) as container,
        ):

            def hand_over(
                watcher: Watcher = watcher, signed: list = signed, began: list[int] = began
            ) -> None:
                began[0] = time.monotonic_ns()
                for one in signed:
                    refusal = watcher.offer(one, recover_signer(one.digest(), one.signature))
                    assert refusal is None, refusal

            death = death_of(watcher, name, container, hand_over)
            times.append((death.frozen_at - began[0]) / 1e6)
    return row("2 ballots handed over -> frozen", 100, times, target50=8.0)


def polls(chain: Chain, host: Host, n: int) -> Row:
    """The same halt with no subscription: within one poll, and 15 ms."""
    times = []
    agents = chain.register("poll", n)
    for name, identity in agents.items():
        chain.vote(identity, 0)
        with (
            guarding(chain, {name: identity}, subscribe=False, poll=POLL) as watcher,
            closing(host.start(name, 100)) as container,
        ):
            death = death_of(watcher, name, container, lambda identity=identity: chain.vote(identity, 1))
            times.append((death.frozen_at - chain.seen_at()) / 1e6)
    return row(f"polling alone, every {POLL * 1000:g} ms -> frozen", 100, times, target99=POLL * 1000 + 15)


def orphaned(host: Host, n: int) -> Row:
    """The guard killed with SIGKILL: until nothing of its agent is left."""
    times, survivors = [], 0
    for number in range(n):
        mark, work = f"orphan-{number}", host.folder / f"orphan-{number}"
        work.mkdir()
        guard = subprocess.Popen(
            [sys.executable, "-c", GUARD, str(work), *argv(100, mark)], stdout=subprocess.PIPE, text=True
        )
        assert guard.stdout is not None
        guard.stdout.readline()
        await_tree(lambda mark=mark: len(marked(mark)) - 1, 100)
        watched = [os.pidfd_open(pid) for pid in marked(mark) if pid != guard.pid]
        began = time.monotonic_ns()
        guard.kill()
        for pidfd in watched:
            _await_exit(pidfd)
        times.append((time.monotonic_ns() - began) / 1e6)
        guard.wait()
        guard.stdout.close()
        survivors += len(marked(mark))
    return row("guard SIGKILLed -> agent dead", 100, times, target99=100.0, survivors=survivors)


def _await_exit(pidfd: int) -> None:
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(int(PATIENCE * 1000))
    os.close(pidfd)


def calls_per_poll(chain: Chain, count: int) -> dict[str, float]:
    """How often the node is asked in one poll of a guard with so many agents, and how long one look takes."""
    agents = chain.fake(count)
    asked: list[str] = []
    ask = chain.contract.endpoint.ask
    chain.contract.endpoint.ask = lambda method, *more: (asked.append(method), ask(method, *more))[1]  # type: ignore[method-assign]
    polls_made = 20
    try:
        with guarding(chain, agents, subscribe=False, poll=3600.0) as watcher:
            time.sleep(1.0)
            asked.clear()
            began = time.monotonic()
            for _ in range(polls_made):
                before = asked.count("eth_call")
                watcher.poke()
                while asked.count("eth_call") == before:
                    time.sleep(0.001)
                time.sleep(0.3)
            took = time.monotonic() - began
    finally:
        chain.contract.endpoint.ask = ask  # type: ignore[method-assign]
    per_poll = {method: round(asked.count(method) / polls_made, 2) for method in sorted(set(asked))}
    return {"agents": count, "seconds_for_20_polls": round(took, 1), **per_poll}


def fleets(chain: Chain, host: Host, count: int) -> list[Row]:
    """So many agents in one guard, each one light process in its container: one vote of the fleet stops them all."""
    agents = chain.fake(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with ExitStack() as stack:
        deadman = stack.enter_context(closing(Deadman(600)))
        watcher = stack.enter_context(guarding(chain, agents, subscribe=True, poll=1.0))
        began = time.monotonic()
        containers, carriers, stilled = [], [], dict[str, int]()

        def still(name: str, container: Container) -> None:
            container.still()
            stilled[name] = time.monotonic_ns()

        for name in agents:
            work = host.folder / name
            work.mkdir()
            spec = ContainerSpec(argv=("sleep", "3600"), work_dir=work, name=name)
            container = launch(spec, host.choice, subprocess.DEVNULL, subprocess.DEVNULL, deadman)
            containers.append(stack.enter_context(closing(container)))
            supervisor = Supervisor(container, lambda occurrence: None)
            carriers.append(
                Carrier(name, supervisor.apply, lambda error, name=name: watcher.condemn(name, repr(error)))
            )
            watcher.attach(
                name, carriers[-1].apply, lambda name=name, container=container: still(name, container)
            )
        print(f"{count} agents started in {time.monotonic() - began:.0f} s", flush=True)
        chain.vote(FLEET, 0)
        chain.vote(FLEET, 1)
        deadline = time.monotonic() + 120
        while any(container.death is None for container in containers) and time.monotonic() < deadline:
            time.sleep(0.01)
        halted_at = chain.seen_at()
        deaths = [container.death for container in containers if container.death is not None]
        left = count - len(deaths)
        for carrier in carriers:
            carrier.close()
    frozen = [(at - halted_at) / 1e6 for at in stilled.values()]
    dead = [(death.dead_at - halted_at) / 1e6 for death in deaths]
    stage = f"fleet of {count}: halt in a block ->"
    return [row(f"{stage} told to freeze", 1, frozen), row(f"{stage} dead", 1, dead, survivors=left)]


# -------------------------------------------------------------------------------------------------------------- report


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--n", type=int, default=100, help="trials of each stage (plain kills: a fifth)")
    options.add_argument("--processes", default="1,100,500", help="sizes of the agent's tree")
    options.add_argument(
        "--agents", type=int, default=1000, help="agents of the fleet, which one guard polls and stops"
    )
    options.add_argument("--json", type=Path, help="write the rows there as well")
    chosen = options.parse_args()
    sys.setswitchinterval(SWITCH_SECONDS)
    sizes = [int(size) for size in chosen.processes.split(",")]
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agent-guard-bench-")))
        folder.chmod(0o755)
        chain = stack.enter_context(Chain(folder))
        host = Host(folder, choose_mode())
        for size in sizes:
            rows += halts(chain, host, size, chosen.n)
            rows += plain(size, max(1, chosen.n // 5))
            _say(rows[-6:])
        for measure in (ballots, polls):
            rows.append(measure(chain, host, chosen.n))
            _say(rows[-1:])
        rows.append(orphaned(host, chosen.n))
        _say(rows[-1:])
        calls = calls_per_poll(chain, chosen.agents)
        print(f"one poll of {chosen.agents} agents: {calls}")
        rows += fleets(chain, host, chosen.agents)
        _say(rows[-2:])
    if chosen.json:
        chosen.json.write_text(json.dumps({"rows": [asdict(one) for one in rows], "calls": calls}, indent=2))
    missed = [one for one in rows if not one.met]
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, kernel {platform.release()}, mode {host.choice.mode.value}"
    )
    named = "; ".join(f"{one.stage} ({one.processes})" for one in missed)
    print(f"MISSED: {named}" if missed else "all targets met")
    return 1 if missed else 0


def _say(rows: Sequence[Row]) -> None:
    for one in rows:
        target = "/".join("-" if value is None else f"{value:.0f}" for value in (one.target50, one.target99))
        met = "" if one.target50 is one.target99 is None else ("met" if one.met else "MISSED")
        print(
            f"{one.stage:42} {one.processes:5} processes  n {one.n:4}  p50 {one.p50:8.2f}  p99 {one.p99:8.2f} ms"
            f"  target {target:>8}  {met:6}  survivors {one.survivors}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
