"""Dask clusters: the same results as everywhere, and what becomes of a run when workers or schedulers die."""

import contextlib
import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from typing import ClassVar

import gymnasium as gym
import psutil
import pytest

import velodrome as vd
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.running import cluster_connection, cluster_workers, limits
from velodrome.experiments.storage.store import Store

distributed = pytest.importorskip("distributed")

LAKE, CART = "FrozenLake-v1", "discretize(CartPole-v1, bins=3)"
TESTS = Path(__file__).parent


class Corridor(gym.Env):
    """Five steps to the end; what makes one special happens in workers only, not in the process of `test`."""

    def __init__(self, folder=None, test=None):
        self.observation_space, self.action_space = gym.spaces.Discrete(5), gym.spaces.Discrete(2)
        self.folder, self.test = folder, test
        self.place = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return 0, {}

    def step(self, action):
        if os.getpid() != self.test:
            self.happens()
        self.place += 1
        return min(self.place, 4), float(action) + self.np_random.random(), self.place == 5, False, {}

    def happens(self):
        """What makes a corridor special."""

    def note(self, name):
        """Tell the test which process is here; True for the first of all workers."""
        try:
            with (self.folder / name).open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True


class Broken(Corridor):
    def happens(self):
        if self.np_random.random() < 0.02:
            raise RuntimeError("the corridor fell in")


class SlowTheFirstTime(Corridor):
    def happens(self):
        if self.note("slow"):
            time.sleep(600)


class OnceSlow(Corridor):
    def happens(self):
        if self.note("once"):
            time.sleep(3)


class Hog(Corridor):
    def happens(self):
        kept = []
        while len(kept) < 50:
            kept.append(b"x" * 40_000_000)
            time.sleep(0.01)
        time.sleep(600)


class Leaky(Corridor):
    """Every one that is made in a worker leaves something behind; one is made to learn in, one to be evaluated in."""

    left: ClassVar = []

    def __init__(self, folder=None, test=None):
        super().__init__(folder, test)
        if os.getpid() != test:
            self.note(f"leaky-{os.getpid()}")
            Leaky.left.append(b"x" * 140_000_000)


class Slow(Corridor):
    def happens(self):
        time.sleep(0.01)


class Deadly(Corridor):
    def happens(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Endless(Corridor):
    def happens(self):
        self.note(f"endless-{os.getpid()}")
        try:
            while True:
                time.sleep(0.01)
        finally:
            self.note(f"left-{os.getpid()}")


class HoldsTheInterpreter(Corridor):
    def happens(self):
        self.note(f"holds-{os.getpid()}")
        ctypes.PyDLL(None).sleep(600)


def in_folder(kind, folder):
    return functools.partial(kind, folder, os.getpid())


def compare(environments, out, *, agents=("q_learning", "random"), seeds=4, **settings):
    return vd.compare(agents, environments, seeds=seeds, episodes=20, evaluation_episodes=2, out=out, **settings)


def measured(results, *environments):
    names = ("environment", "seed", "status", "steps", "train_mean_return", "greedy_mean_return")
    return [[row.row()[name] for name in names] for row in results.records if row.environment in environments]


def digest(out):
    with Store.open_for_reading(out) as store:
        return store.content_digest()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return found


def processes_of(pattern, folder):
    texts = [path.read_text() for path in folder.glob(pattern)]
    return [int(text) for text in texts if text]


def descendants():
    """Processes that this one has started, but for what Python starts once and keeps."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return {
            child.pid
            for child in psutil.Process().children(recursive=True)
            if "resource_tracker" not in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE
        }
    return set()


class RealCluster:
    """A scheduler and workers as users start them, by Dask's own commands."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.processes = folder, options, []
        self.scheduler_file = folder / "scheduler.json"
        self._start(
            "dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.scheduler_file), *options
        )
        wait_for(self.scheduler_file.exists)
        self.address = wait_for(self._address)

    def _address(self):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(self.scheduler_file.read_text())["address"]
        return None

    def add_worker(self):
        self._start(
            "dask_worker", self.address, "--nthreads", "1", "--no-dashboard",
            "--local-directory", str(self.folder), *self.options,
        )  # fmt: skip

    def _start(self, command, *arguments):
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        self.processes.append(
            subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{command}", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def kill_scheduler(self):
        self.processes[0].kill()

    def close(self):
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()


@pytest.fixture
def scheduler(tmp_path_factory):
    cluster = RealCluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(scheduler):
    scheduler.add_worker()
    scheduler.add_worker()
    return scheduler


def run_and_kill_the_slow(tmp_path, **settings):
    """Run a comparison whose first trial in a corridor hangs until its process is killed."""
    environments = {"corridor": in_folder(SlowTheFirstTime, tmp_path), "lake": LAKE}
    killed = []

    def kill():
        (pid,) = wait_for(lambda: processes_of("slow", tmp_path))
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    results = compare(environments, tmp_path / "out", **settings)
    killer.join()
    assert killed
    compare(environments, tmp_path / "reference", workers=0)
    return results


def check_nothing_lost_or_doubled(results, tmp_path):
    assert [row.status for row in results.records] == ["done"] * results.num_planned
    with Store.open_for_reading(tmp_path / "out") as store:
        assert len(store.keys("done")) == results.num_planned
    assert digest(tmp_path / "out") == digest(tmp_path / "reference")


@pytest.mark.filterwarnings("ignore:.*trials failed:velodrome.experiments.errors.ExperimentWarning")
@pytest.mark.filterwarnings("ignore:.*seeds:velodrome.experiments.errors.ExperimentWarning")
class TestLocalCluster:
    def test_the_results_are_those_of_one_thread(self, tmp_path):
        environments = {"lake": LAKE, "cart": CART, "broken": Broken}
        before = descendants()
        results = compare(environments, tmp_path / "cluster", cluster="local:2")
        assert descendants() == before
        compare(environments, tmp_path / "one", workers=0)
        assert digest(tmp_path / "cluster") == digest(tmp_path / "one")
        assert {row.environment for row in results.failures} == {"broken"}
        assert results.failures[0].error.endswith("RuntimeError: the corridor fell in")

    def test_trials_of_a_killed_worker_are_run_again(self, tmp_path):
        results = run_and_kill_the_slow(tmp_path, cluster="local:2")
        check_nothing_lost_or_doubled(results, tmp_path)

    @pytest.mark.slow
    def test_a_trial_that_kills_its_workers_fails_alone(self, tmp_path):
        environments = {"deadly": in_folder(Deadly, tmp_path), "slow": Slow, "lake": LAKE}
        results = compare(environments, tmp_path, agents=["q_learning"], seeds=2, cluster="local:2")
        outcomes = [(row.environment, row.status) for row in results.records]
        assert outcomes == [*[("deadly", "failed")] * 2, *[("slow", "done")] * 2, *[("lake", "done")] * 2]
        assert {row.error for row in results.failures} == {"its worker process died 2 times"}

    @pytest.mark.slow
    def test_a_trial_that_takes_too_much_memory_fails_alone_and_a_worker_that_grows_is_restarted(self, tmp_path):
        environments = {"hog": in_folder(Hog, tmp_path), "lake": LAKE, "leaky": in_folder(Leaky, tmp_path)}
        settings = {"agents": ["q_learning"], "seeds": 3}
        results = compare(environments, tmp_path / "out", cluster="local:1", trial_memory="1GB", **settings)
        assert {(row.environment, row.error) for row in results.failures} == {("hog", "took more memory than 1 GB")}
        assert len(results.failures) == 3
        assert len(list(tmp_path.glob("leaky-*"))) >= 2
        reference = compare(environments, tmp_path / "reference", workers=0, **settings)
        assert measured(results, "lake", "leaky") == measured(reference, "lake", "leaky")

    @pytest.mark.slow
    def test_a_worker_that_stands_still_is_mentioned_with_what_it_does(self, tmp_path, monkeypatch):
        # Workers say every five seconds that they are alive.
        monkeypatch.setattr(limits, "SILENT_SECONDS", 10.0)
        stopped = []

        def stop_and_go_on(status):
            if not stopped and (pids := processes_of("once", tmp_path)):
                stopped.append(pids[0])
                os.kill(pids[0], signal.SIGSTOP)
            if any("has said nothing" in str(one.message) for one in caught):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stopped[0], signal.SIGCONT)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results = compare(
                {"once": in_folder(OnceSlow, tmp_path)}, tmp_path / "out", agents=["q_learning"], seeds=1,
                cluster="local:1", progress=stop_and_go_on,
            )  # fmt: skip
        assert not results.failures
        line = next(str(one.message) for one in caught if "has said nothing" in str(one.message))
        assert line.startswith("the worker tls://127.0.0.1:")
        assert " has said nothing for 10 s, in q_learning on once, seed 0: " in line

    @pytest.mark.parametrize("kind", [Endless, pytest.param(HoldsTheInterpreter, marks=pytest.mark.slow)])
    @pytest.mark.slow
    def test_a_trial_that_takes_too_long_is_given_up_and_its_worker_restarted(self, kind, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster_workers, "STUCK_SECONDS", 3.0)
        environments = {"endless": in_folder(kind, tmp_path), "lake": LAKE, "corridor": Corridor}
        results = compare(
            environments, tmp_path / "out", agents=["q_learning"], seeds=1, cluster="local:1", trial_timeout=20
        )
        ended = [row.status for row in results.records]
        assert ended == ["timed out", "done", "done"], [row.error for row in results.records]
        assert results.failures[0].error == "took longer than 20 s"
        assert processes_of("[eh]*", tmp_path)

    @pytest.mark.parametrize("kind", [Endless, HoldsTheInterpreter])
    @pytest.mark.slow
    def test_an_interrupted_run_leaves_no_process(self, kind, tmp_path):
        before = descendants()

        def interrupt(status):
            if processes_of("[eh]*", tmp_path):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare({"endless": in_folder(kind, tmp_path)}, tmp_path / "out", cluster="local:2", progress=interrupt)
        assert descendants() == before

    @pytest.mark.slow
    def test_a_killed_program_leaves_no_process(self, tmp_path):
        # No `if __name__ == "__main__"`: the script is not run again in the workers.
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent(
                f"""
                import functools, os, pathlib, warnings
                import velodrome as vd
                from test_experiments_cluster import HoldsTheInterpreter
                warnings.simplefilter("ignore")
                make = functools.partial(HoldsTheInterpreter, pathlib.Path({str(tmp_path)!r}), os.getpid())
                vd.compare(["random"], {{"hall": make}}, seeds=2, episodes=1, cluster="local:2")
                """
            )
        )
        program = subprocess.Popen(
            [sys.executable, str(script)],
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: len(processes_of("holds-*", tmp_path)) == 2)
            family = psutil.Process(program.pid).children(recursive=True)
            assert len(family) >= 3
        finally:
            program.kill()
            program.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert alive == []


# A process that knows nothing but the ports, and to which it is the same who answers. It looks for itself whether its
# attempts get through to servers that let it in.
INTRUDER = """
import asyncio, json, ssl, sys
from distributed import Security
from distributed.core import Server, connect

own = Security.temporary()
certificate = own.get_connection_args("client")
certificate["ssl_context"].verify_mode = ssl.CERT_NONE
WAYS = {"tcp": {}, "tls": certificate}

async def reach(way, port, seconds):
    try:
        comm = await connect(f"{way}://127.0.0.1:{port}", timeout=seconds, **WAYS[way])
        await comm.write({"op": "identity", "reply": True})
        return bool(await comm.read())
    except (OSError, asyncio.TimeoutError):
        return False

async def speak(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /info/main/workers.html HTTP/1.0\\r\\n\\r\\n")
    try:
        return b"HTTP" in await reader.read()
    except OSError:
        return False

async def main():
    for way in WAYS:
        async with Server({"identity": lambda: "come in"}) as server:
            await server.listen(f"{way}://127.0.0.1", **(own.get_listen_args("worker") if way == "tls" else {}))
            assert await reach(way, server.port, 60)
    ports = json.loads(sys.argv[1])
    attempts = [reach(way, port, 3) for port in ports for way in WAYS] + [speak(port) for port in ports]
    print(json.dumps(await asyncio.gather(*attempts)))

asyncio.run(main())
"""


def listening():
    """Ports on which processes that this one has started wait for others, and the addresses that they are bound to."""
    # The method has another name before psutil 6.
    ask = getattr(psutil.Process, "net_connections", None) or psutil.Process.connections
    found = [
        connection.laddr
        for pid in descendants()
        for connection in ask(psutil.Process(pid), "inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    return [address.port for address in found], {address.ip for address in found}


@pytest.mark.filterwarnings("ignore:.*seeds:velodrome.experiments.errors.ExperimentWarning")
@pytest.mark.slow
def test_a_process_that_shares_nothing_cannot_reach_a_local_cluster(tmp_path):
    found = []

    def intrude(status):
        if found:
            return
        ports, hosts = listening()
        program = [sys.executable, "-c", INTRUDER, json.dumps(ports)]
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        found.append((ports, hosts, json.loads(done.stdout)))

    environments = {"lake": LAKE, "cart": CART}
    compare(environments, tmp_path / "out", cluster="local:2", progress=intrude)
    compare(environments, tmp_path / "reference", workers=0)
    ((ports, hosts, reached),) = found
    # The scheduler's, and one of each worker and of what looks after it.
    assert len(ports) == 5
    assert hosts == {"127.0.0.1"}
    assert reached == [False] * 3 * len(ports)
    assert digest(tmp_path / "out") == digest(tmp_path / "reference")


@pytest.fixture
def certificates(tmp_path):
    """Files of a certificate and its key, which is its own authority."""
    made = distributed.Security.temporary()
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    for file, text in zip(files, (made.tls_client_cert, made.tls_client_key), strict=True):
        file.write_text(text)
    return [str(file) for file in files]


@pytest.mark.filterwarnings("ignore:.*seeds:velodrome.experiments.errors.ExperimentWarning")
@pytest.mark.slow
def test_an_encrypted_scheduler_is_reached_with_the_files_of_dasks_configuration(certificates, tmp_path):
    import dask

    certificate, key = certificates
    options = ("--protocol", "tls", "--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    files = {"ca-file": certificate, "client.cert": certificate, "client.key": key}
    cluster = RealCluster(tmp_path, *options)
    try:
        cluster.add_worker()
        assert cluster.address.startswith("tls://")
        with pytest.raises(ExperimentError, match=r"tls://.* needs a certificate: .*TLS__CA_FILE") as refused:
            compare(LAKE, tmp_path / "refused", cluster=cluster.address)
        assert "\n" not in str(refused.value)
        with dask.config.set({f"distributed.comm.tls.{name}": file for name, file in files.items()}):
            compare(LAKE, tmp_path / "out", cluster=cluster.address)
    finally:
        cluster.close()
    compare(LAKE, tmp_path / "reference", workers=0)
    assert digest(tmp_path / "out") == digest(tmp_path / "reference")


def test_without_the_package_for_certificates_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ExperimentError, match=r"pip install 'velodrome\[cluster\]'"):
        compare(LAKE, tmp_path, seeds=5, cluster="local:2")


@pytest.mark.filterwarnings("ignore:.*trials failed:velodrome.experiments.errors.ExperimentWarning")
@pytest.mark.filterwarnings("ignore:.*seeds:velodrome.experiments.errors.ExperimentWarning")
class TestRunningScheduler:
    def test_the_results_are_those_of_one_thread_and_the_users_client_stays_open(self, cluster, tmp_path):
        environments = {"lake": LAKE, "cart": CART, "broken": Broken}
        compare(environments, tmp_path / "one", workers=0)
        compare(environments, tmp_path / "address", cluster=cluster.address)
        with distributed.Client(cluster.address, set_as_default=False) as client:
            compare(environments, tmp_path / "client", cluster=client)
            assert client.status == "running"
            wait_for(lambda: not any(client.processing().values()))
            assert client.submit(abs, -3).result() == 3
        assert digest(tmp_path / "one") == digest(tmp_path / "address") == digest(tmp_path / "client")

    @pytest.mark.slow
    def test_trials_of_a_killed_worker_are_run_again(self, cluster, tmp_path):
        results = run_and_kill_the_slow(tmp_path, cluster=cluster.address)
        check_nothing_lost_or_doubled(results, tmp_path)

    @pytest.mark.slow
    def test_long_payloads_survive_the_worker_that_holds_them(self, cluster, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster_workers, "LONG_PAYLOAD", 0)
        results = run_and_kill_the_slow(tmp_path, cluster=cluster.address)
        check_nothing_lost_or_doubled(results, tmp_path)

    def test_an_interrupted_run_ends_the_trials_that_are_under_way(self, cluster, tmp_path):
        def interrupt(status):
            if processes_of("endless-*", tmp_path):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare(
                {"endless": in_folder(Endless, tmp_path)}, tmp_path / "out", cluster=cluster.address, progress=interrupt
            )
        wait_for(lambda: processes_of("left-*", tmp_path))

    def test_a_run_whose_scheduler_dies_says_so_and_keeps_what_is_done(self, cluster, tmp_path):
        environments = {"lake": LAKE, "slow": in_folder(SlowTheFirstTime, tmp_path)}

        def kill(status):
            if status.finished >= 8:
                cluster.kill_scheduler()

        with pytest.raises(ExperimentError, match="lost the connection to the cluster"):
            compare(environments, tmp_path / "out", cluster=cluster.address, progress=kill)
        with Store.open_for_reading(tmp_path / "out") as store:
            assert len(store.keys("done")) >= 8
        compare(environments, tmp_path / "out", workers=0)
        compare(environments, tmp_path / "reference", workers=0)
        assert digest(tmp_path / "out") == digest(tmp_path / "reference")

    def test_a_scheduler_that_dies_as_it_is_asked_for_outcomes_fails_no_trial(self, cluster, tmp_path, monkeypatch):
        gather = distributed.Client.gather

        async def late(client, future):
            outcomes = await gather(client, future)
            gathered.append(future)
            if len(gathered) < 3:
                return outcomes
            cluster.kill_scheduler()
            # While the future still counts as finished.
            raise OSError("in <TCP (closed)>: Stream is closed")

        gathered = []
        monkeypatch.setattr(distributed.Client, "gather", late)
        with pytest.raises(ExperimentError, match="lost the connection to the cluster"):
            compare(LAKE, tmp_path / "out", seeds=8, cluster=cluster.address)
        with Store.open_for_reading(tmp_path / "out") as store:
            assert set(store.statuses(store.keys()).values()) <= {"done"}
        compare(LAKE, tmp_path / "out", seeds=8, workers=0)
        compare(LAKE, tmp_path / "reference", seeds=8, workers=0)
        assert digest(tmp_path / "out") == digest(tmp_path / "reference")

    @pytest.mark.slow
    def test_without_workers_the_run_says_that_it_waits(self, scheduler, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster_connection, "NOTICE_SECONDS", 0.5)
        late = threading.Timer(2, scheduler.add_worker)
        late.start()
        with pytest.warns(ExperimentWarning, match="has no workers yet"):
            results = compare(LAKE, tmp_path, cluster=scheduler.address)
        late.join()
        assert not results.failures

    def test_another_release_on_a_worker_is_refused(self, cluster, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster_connection, "version", lambda package: "9.9.9")
        with pytest.raises(ExperimentError, match=r"has velodrome \d+\.\d+\.\d+, but this is velodrome 9\.9\.9"):
            compare(LAKE, tmp_path, cluster=cluster.address)

    @pytest.mark.slow
    def test_another_release_on_a_worker_that_joins_later_stops_the_run(self, cluster, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster_workers, "version", lambda package: "9.9.9")
        with pytest.raises(ExperimentError, match=r"has velodrome .* but the experiment runs on 9\.9\.9"):
            compare(LAKE, tmp_path, cluster=cluster.address)


@pytest.mark.parametrize(
    "wrong",
    [
        "local", "local:0", "local:-1", "local:two", "local:2.5", "tcp://", "tcp://host", "tcp://host:port",
        "tcp://host:99999", "http://host:8786", "host:8786", "", " local:2", 4, True, ["local:2"],
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(wrong, tmp_path):
    with pytest.raises(ExperimentError, match="cluster must be") as refused:
        compare(LAKE, tmp_path, seeds=5, cluster=wrong)
    line = str(refused.value)
    assert "\n" not in line
    assert all(part in line for part in ("local:N", "tcp://host:port", "Client", repr(wrong)))


def test_a_scheduler_that_does_not_answer_is_an_error_within_seconds(tmp_path, monkeypatch, unused_address):
    monkeypatch.setattr(cluster_connection, "CONNECT_SECONDS", 1.0)
    with pytest.raises(ExperimentError, match="no Dask scheduler answers at tcp://") as refused:
        compare(LAKE, tmp_path, seeds=5, cluster=unused_address)
    assert "\n" not in str(refused.value)


@pytest.fixture
def unused_address():
    import socket

    with socket.socket() as bound:
        # Bound but not listening: nobody answers, and nobody else gets the port.
        bound.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{bound.getsockname()[1]}"


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExperimentError, match=r"pip install 'velodrome\[cluster\]'"):
        compare(LAKE, tmp_path, seeds=5, cluster="local:2")
