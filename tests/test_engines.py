"""Samples shared out to processes and clusters: same bytes as in one process, whoever dies on the way."""

import builtins
import logging
import os
import signal
from functools import partial

import numpy as np
import pytest
from drawn_networks import CHIPS, random_counts, random_network
from dying_work import always_die, square, square_or_die
from event_networks import DRAWN, random_input
from test_streams import equal, everything

from neurodeploy.chips import chip
from neurodeploy.errors import Missing, Refusal
from neurodeploy.simulator import Stimulus, expand, join_samples, parts, pools, simulate, simulate_parts
from neurodeploy.simulator.pools import Cluster, opened

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    """Two workers in processes of their own, which come back when they die."""
    silent = {"distributed.worker.daemon": False, "distributed.scheduler.allowed-failures": 1}
    import dask

    with (
        dask.config.set(silent),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as made,
    ):
        yield made


@pytest.fixture
def here(monkeypatch):
    """An engine that is this process: the parts come back in the reverse order."""

    class Here:
        size = 3

        def run(self, work, tasks):
            yield from [(number, work(tasks[number])) for number in reversed(range(len(tasks)))]

    class Opened:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return Here()

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(parts, "opened", Opened)


def drawn(sort, batch=7):
    """A network, its input, and what is recorded."""
    rng = np.random.default_rng(3)
    if sort == "clocked":
        network = random_network(CHIPS[-1], 3)
        return network, random_counts(network, 3, batch=batch)
    network = DRAWN[sort](chip("speck2f"), rng)
    return network, random_input(network, rng, steps=4, batch=batch)


def alive(run):
    """Whether any neuron that is no input fired."""
    inputs = {g.name for g in run.network.inputs()}
    return any(v.any() for n, v in run.counts.items() if n not in inputs)


def next_or(answers, real, package):
    """The next answer, or the real one where there is none left."""
    return next(answers, None) or real(package)


# --- every bit --------------------------------------------------------------------------------------------------------


#: every sort of network with two ways to share out its samples, in turn; .ci/run has the other two
SHARED = [
    pytest.param(sort, samples, marks=pytest.mark.slow if (i + j) % 2 else ())
    for i, sort in enumerate(["clocked", *DRAWN])
    for j, samples in enumerate([None, 1, 3, 100])
]


@pytest.mark.parametrize(("sort", "samples"), SHARED)
def test_parts_equal_the_whole_whatever_the_order_of_completion(sort, samples, here):  # noqa: ARG001
    network, x = drawn(sort)
    options = {"record": everything(network)}
    whole = simulate(network, x, **options)
    assert alive(whole)
    equal(simulate(network, x, **options, engine="loky", samples=samples), whole)
    state = simulate(network, x).final
    equal(
        simulate(network, x, keep="outputs", state=state, drain=0, raw=True, jobs=2, samples=samples),
        simulate(network, x, keep="outputs", state=state, drain=0, raw=True),
    )


def test_single_events_in_any_order_of_samples_equal_the_whole(here):  # noqa: ARG001
    network, x = drawn("chain")
    given = expand(x, network.inputs())
    order = np.argsort(given.sample, kind="stable")  # sample by sample instead of step by step
    columns = (given.step[order], given.sample[order], given.neuron[order], given.group[order])
    turned = Stimulus(given.steps, given.batch, *columns)
    whole = simulate(network, turned)
    assert any(len(e) for e in whole.events.values())
    equal(simulate(network, turned, jobs=2, samples=2), whole)


def test_a_batch_of_no_sample_is_a_run_too(here):  # noqa: ARG001
    network, x = drawn("clocked")
    none = {n: v[:, :0] for n, v in x.items()}
    equal(simulate(network, none, jobs=2), simulate(network, none))


def test_processes_of_this_machine_give_the_same():
    network, x = drawn("clocked", batch=9)
    runs = list(simulate_parts(network, x, jobs=2, samples=2))
    assert [r.output.shape[1] for r in runs] == [2, 2, 2, 2, 1]
    equal(join_samples(runs), simulate(network, x))


def test_the_workers_of_a_cluster_give_the_same(cluster):
    network, x = drawn("branches", batch=9)
    whole = simulate(network, x)
    equal(simulate(network, x, engine="dask", address=cluster.scheduler_address, samples=2), whole)


def test_a_large_part_goes_to_a_cluster_without_complaint(cluster):
    with opened("dask", None, cluster.scheduler_address) as pool:
        assert list(pool.run(len, [bytes(11 << 20)])) == [(0, 11 << 20)]


# --- death ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deadly", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_a_process_that_dies_loses_nothing_and_nothing_counts_twice(deadly, tmp_path):
    tasks = [(number, str(tmp_path), deadly) for number in range(9)]
    with opened("loky", 2, None) as pool:
        done = sorted(pool.run(square_or_die, tasks))
    assert done == [(number, number * number) for number in range(9)]
    started = (tmp_path / "started").read_text(encoding="ascii").split()
    assert started.count(str(deadly)) == 2


@pytest.mark.slow  # two more pools of processes; .ci/run has it
def test_processes_that_die_again_and_again_are_given_up(monkeypatch):
    monkeypatch.setattr(pools, "DEATHS", 1)
    with opened("loky", 2, None) as pool, pytest.raises(Refusal, match=r"processes died 2 times .*samples=") as caught:
        list(pool.run(always_die, [1, 2]))
    assert caught.value.code == "ND1305"
    with opened("loky", 2, None) as pool:
        assert sorted(pool.run(square, [3])) == [(0, 9)]


def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_counts_twice(cluster):
    network, x = drawn("clocked", batch=40)
    whole = simulate(network, x)
    assert alive(whole)
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        before = client.run(os.getpid)
        runs = []
        for run in simulate_parts(network, x, engine="dask", address=cluster.scheduler_address, samples=1):
            runs.append(run)
            if len(runs) == 3:
                os.kill(min(before.values()), signal.SIGKILL)
        client.wait_for_workers(2, timeout=60)
        assert min(before.values()) not in client.run(os.getpid).values()
    assert len(runs) == 40
    equal(join_samples(runs), whole)


@pytest.mark.slow  # one killed worker that comes back is above
def test_work_on_a_cluster_that_kills_its_worker_is_done_again_once(cluster, tmp_path):
    tasks = [(number, str(tmp_path), 4) for number in range(12)]
    with opened("dask", None, cluster.scheduler_address) as pool:
        done = sorted(pool.run(square_or_die, tasks))
    assert done == [(number, number * number) for number in range(12)]
    assert (tmp_path / "started").read_text(encoding="ascii").split().count("4") == 2


@pytest.mark.slow  # workers that come back take seconds; .ci/run has it
def test_work_that_kills_every_worker_of_a_cluster_is_given_up(cluster):
    with (
        opened("dask", None, cluster.scheduler_address) as pool,
        pytest.raises(Refusal, match=r"workers died each time .*KilledWorker.*; workers that stay alive"),
    ):
        list(pool.run(always_die, [1]))
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)


class Future:
    """What a scheduler says of one part."""

    def __init__(self, status, value=None):
        self.status, self.value = status, value

    def add_done_callback(self, call):
        if self.status != "pending":
            call(self)

    def result(self):
        return self.value

    exception = result


class Client:
    """A cluster that answers as it is told."""

    def __init__(self, statuses, workers=1):
        self.statuses, self.workers = iter(statuses), workers

    def nthreads(self):
        return {"w": 1} if self.workers else {}

    def submit(self, work, task, **_):
        status = next(self.statuses)
        return Future(status, work(task) if status == "finished" else OSError("broken"))


def test_a_part_that_the_scheduler_forgot_is_sent_again():
    pool = Cluster(Client(["finished", "cancelled", "finished", "finished", "lost", "finished"]), "tcp://x:1")
    assert sorted(pool.run(square, [1, 2, 3, 4])) == [(0, 1), (1, 4), (2, 9), (3, 16)]
    pool = Cluster(Client(["cancelled"] * 9), "tcp://x:1")
    with pytest.raises(Refusal, match=r"5 parts were lost \(cancelled\)"):
        list(pool.run(square, [1]))


def test_an_error_of_a_part_is_the_error_of_the_call():
    pool = Cluster(Client(["finished", "error"]), "tcp://x:1")
    with pytest.raises(OSError, match="broken"):
        list(pool.run(square, [1, 2]))


def test_a_cluster_that_lost_all_its_workers_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(pools, "_LOOK_S", 0.01)
    client = Client(["finished", "pending"])
    pool = Cluster(client, "tcp://x:1")
    client.workers = 0
    with pytest.raises(Missing, match=r"the cluster at 'tcp://x:1' has lost all its workers; .*start workers again"):
        list(pool.run(square, [1, 2]))


def test_a_refusal_of_a_part_names_its_samples(here, monkeypatch):  # noqa: ARG001
    network, x = drawn("chain")
    monkeypatch.setattr("neurodeploy.simulator.event_engine.SETTLED_AFTER", 0)
    monkeypatch.setattr("neurodeploy.simulator.waves.Waves.possible", lambda _: False)
    with pytest.raises(Refusal, match=r"speck2f, step \d+ \(of samples 6 to 6\): one input of sample 0") as caught:
        simulate(network, x, jobs=2, samples=2)
    assert caught.value.code == "ND1304"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "ray"}, "engine = 'ray'; one of loky, dask"),
        ({"engine": "dask"}, "a Dask cluster without address; the address of its scheduler; for instance"),
        ({"engine": "dask", "address": "tcp://127.0.0.1:1", "jobs": 2}, "jobs of a Dask cluster; its workers decide"),
        ({"address": "tcp://127.0.0.1:1"}, 'an address for loky; an address of a Dask cluster; engine="dask"'),
        ({"jobs": 0}, "jobs = 0; a number of processes, 1 or more"),
        ({"engine": "loky", "samples": 0}, "samples = 0; samples of a part, 1 or more, or None"),
        ({"engine": "dask", "address": "scheduler"}, "the address 'scheduler' (missing port number"),
        ({"engine": "dask", "address": "ftp://10.0.0.7:21"}, "unknown address scheme 'ftp'"),
        ({"engine": "loky", "observer": print}, "an observer; what many processes can do; leave it out"),
        ({"engine": "loky", "progress": print}, "progress by steps; what many processes can do"),
        ({"engine": "loky", "keep": "nobody"}, "keep = 'nobody'"),
        ({"engine": "loky", "executor": "abacus"}, "executor = 'abacus'"),
    ],
)
def test_wrong_options_are_refused_in_words(options, words):
    network, x = drawn("clocked")
    with pytest.raises(Refusal) as caught:
        simulate(network, x, **options)
    assert words in str(caught.value)
    assert caught.value.exit_status == 2


def test_an_address_where_nobody_answers_is_status_3():
    network, x = drawn("clocked")
    with pytest.raises(Missing, match=r"nobody answers at 'tcp://127.0.0.1:9' .*start dask scheduler") as caught:
        simulate(network, x, engine="dask", address="tcp://127.0.0.1:9")
    assert caught.value.exit_status == 3


def test_a_cluster_without_workers_is_refused():
    network, x = drawn("clocked")
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", protocol="tcp") as empty,
        pytest.raises(Missing, match=r"has no worker; at least one worker; start one: dask worker tcp://"),
    ):
        simulate(network, x, engine="dask", address=empty.scheduler_address)


def test_workers_of_another_version_are_refused(cluster, monkeypatch):
    network, x = drawn("clocked")
    real = pools.version
    answers = iter(["9.9"])  # here; the workers ask for themselves
    monkeypatch.setattr(pools, "version", partial(next_or, answers, real))
    with pytest.raises(
        Refusal, match=rf"worker tcp://.* has neurodeploy {real('neurodeploy')}; .*version 9.9 everywhere"
    ):
        simulate(network, x, engine="dask", address=cluster.scheduler_address)


@pytest.mark.parametrize(("package", "engine"), [("joblib", "loky"), ("distributed", "dask")])
def test_a_missing_package_is_named_with_the_line_that_installs_it(package, engine, monkeypatch):
    network, x = drawn("clocked")
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[engines\]"'):
        simulate(network, x, engine=engine, address="tcp://127.0.0.1:9" if engine == "dask" else None)


def test_input_is_refused_before_anything_is_sent(monkeypatch):
    network, x = drawn("clocked")
    monkeypatch.setattr(parts, "opened", None)  # would be a TypeError
    name, first = next(iter(x.items()))
    wrong = first.copy()
    wrong[2, 5, 0] = 10**6
    with pytest.raises(Refusal, match="events at step 2, sample 5, channel 0"):
        simulate(network, x | {name: wrong}, jobs=2)
    other = simulate(network, {n: v[:, :3] for n, v in x.items()}).final
    with pytest.raises(Refusal, match="go on with the state of the same network and batch"):
        simulate(network, x, state=other, jobs=2)
