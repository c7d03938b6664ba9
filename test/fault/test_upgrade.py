# SPDX-License-Identifier: Apache-2.0
"""podmonctl upgrade: another program in the same process, under load."""

from support import counter, finish_counter, podmon_pid, start_time, taken_up


def test_every_podmon_goes_on_as_the_new_one(node, make_pod):
    pods = [make_pod() for _ in range(3)]
    containers = [pod.start(*counter(burst=1000)) for pod in pods]
    before = [(podmon_pid(pod), start_time(podmon_pid(pod))) for pod in pods]
    for times in range(1, 4):
        done = node.upgrade()
        assert done.returncode == 0, done.stdout
        assert all(taken_up(node, pod) == (times, "") for pod in pods)
    assert [(podmon_pid(pod), start_time(podmon_pid(pod))) for pod in pods] == before
    for pod, container in zip(pods, containers):
        status, lines = finish_counter(pod, container)
        assert status.exit_code == 7 and lines > 0


def test_a_pod_with_a_command_under_way_waits(node, pod):
    container = pod.start("sleep", "1000")
    call = node.v1.services[0].ExecSync.future(node.v1_api.ExecSyncRequest(
        container_id=container, cmd=["sh", "-c", "touch /begun; while [ ! -e /stop ]; do sleep "
                                     "0.01; done; echo done"], timeout=100), timeout=60)
    from harness import wait_for
    wait_for("it runs", lambda: pod.exec(container, "test", "-e", "/begun").exit_code == 0)
    done = node.upgrade()
    assert done.returncode == 1 and "under way" in done.stdout
    pod.exec(container, "touch", "/stop")
    assert call.result().stdout == b"done\n"
