# SPDX-License-Identifier: Apache-2.0
"""Pulling: from Debian's docker-registry, and from a registry that lies."""

import base64
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest

import harness
from harness import BUILD, SOURCE, status_of, wait_for

STALL_MS = 1500
USER, PASSWORD = "pull-user", "pull-secret-7f31"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True


@contextlib.contextmanager
def docker_registry(directory, extra="", tls=""):
    """Debian's docker-registry; yields its port."""
    for tool in ("docker-registry", "skopeo", "htpasswd", "openssl"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed here")
    directory.mkdir()
    port = free_port()
    config = directory / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem:\n"
        f"    rootdirectory: {directory / 'data'}\nhttp:\n  addr: 127.0.0.1:{port}\n{tls}{extra}")
    with open(directory / "log", "wb") as log, \
            running(["docker-registry", "serve", config], stdout=log, stderr=log):
        wait_for("docker-registry", lambda: answers(port))
        yield port


def push(layout, name, *options):
    subprocess.run(["skopeo", "copy", "--insecure-policy", "-q", *options, f"oci:{layout}",
                    f"docker://{name}"], check=True)


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    return harness.busybox_layout(tmp_path_factory.mktemp("busybox"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory, layout):
    with docker_registry(tmp_path_factory.mktemp("registry") / "plain") as port:
        push(layout, f"127.0.0.1:{port}/library/busybox:1", "--dest-tls-verify=false")
        yield f"127.0.0.1:{port}"


def ask(stub, path):
    return subprocess.run(["curl", "-s", f"http://{stub}/{path}"], check=True, capture_output=True,
                          text=True).stdout


@pytest.fixture(scope="module")
def stub():
    command = [sys.executable, SOURCE / "test/cri/registry_stub"]
    with running(command, stdout=subprocess.PIPE, text=True) as process:
        address = f"127.0.0.1:{process.stdout.readline().strip()}"
        for mode in (mode for mode in [*WHOLE, *BIG] if mode.startswith("big")):
            ask(address, f"make/{mode}")
        yield address


@pytest.fixture(scope="module")
def puller(apis):
    """A node of its own, whose pulls lose patience soon."""
    node = harness.Node(*apis)
    with open(node.config, "a") as config:
        config.write(f"stall_timeout_ms = {STALL_MS}\n")
    (node.base / "registries.d").mkdir()
    node.start()
    yield node
    node.destroy()


@pytest.fixture
def configure(puller):
    """Writes a drop-in for registries, for one test."""
    path = puller.base / "registries.d" / "test.conf"
    yield path.write_text
    path.unlink(missing_ok=True)


def spec(node, name):
    return node.v1_api.ImageSpec(image=name)


def pull(node, name, auth=None, **options):
    return node.v1.PullImage(image=spec(node, name), auth=auth, **options).image_ref


def names_in_store(node):
    return sorted(str(path.relative_to(node.root)) for path in (node.root / "images").rglob("*")
                  if path.name not in ("lock", "use", "claims"))


def workers(node):
    """The image workers of this node."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"image-worker" in (process / "cmdline").read_bytes() and \
                    f"PPid:\t{node.process.pid}\n" in (process / "status").read_text():
                found.append(int(process.name))
    return found


def test_an_image_of_a_real_registry_runs(puller, registry):
    name = f"{registry}/library/busybox:1"
    image_id = pull(puller, name)
    image = puller.v1.ImageStatus(image=spec(puller, name)).image
    assert image.id == image_id and name in image.repo_tags
    assert pull(puller, image.repo_digests[0]) == image_id
    pod = harness.Pod(puller)
    try:
        container = pod.start("echo", "pulled", image=name)
        pod.wait(container)
        assert pod.output(container) == "pulled\n"
        status = puller.v1.ListContainers().containers[0]
        assert status.image_id == image_id
    finally:
        pod.remove()


def test_the_seed_api_pulls_too(puller, registry):
    puller.seed.PullImage(image=puller.seed_api.ImageSpec(image=f"{registry}/library/busybox:1"))


def test_crictl_pulls(puller, registry):
    name = f"{registry}/library/busybox:1"
    assert "Image is up to date" in puller.crictl("pull", name).stdout
    assert "library/busybox" in puller.crictl("images").stdout
    puller.crictl("rmi", name)
    assert not puller.v1.ImageStatus(image=spec(puller, name)).HasField("image")


def test_what_is_not_there(puller, registry):
    code, text = status_of(pull, puller, f"{registry}/library/nothing:1")
    assert code == grpc.StatusCode.NOT_FOUND and "manifest unknown" in text
    code, text = status_of(pull, puller, f"127.0.0.1:{free_port()}/a:1")
    assert code == grpc.StatusCode.UNAVAILABLE and "connect" in text.lower()


WHOLE = ["good", "index", "foreign-urls", "rate-limit", "cut-once", "range-ignored",
         "redirect-elsewhere", "longer-than-told", "big", "big-without-ranges", "big-wrong-ranges"]
BIG = ["big-once", "big-cut", "big-cut-changed"]
URL = r"http://HOST/v2/lie/MODE/"
HEX = "[0-9a-f]{64}"
LAYER = rf"layer sha256:{HEX}: {URL}blobs/sha256:{HEX}: "
TAG = rf"manifest: {URL}manifests/latest: "
SLOW = rf"sends less than 1024 bytes in {STALL_MS} ms "
LIES = {
    "wrong-digest": LAYER + rf"its bytes have digest sha256:{HEX}",
    "wrong-manifest": rf"manifest: {URL}manifests/sha256:{HEX}: its bytes have digest sha256:{HEX}",
    "wrong-diff-id": rf"layer sha256:{HEX}: its uncompressed archive has digest sha256:{HEX}, but "
                     rf"the configuration says sha256:{HEX}",
    "short-body": LAYER + r"ends after \d+ of \d+ bytes",
    "long-body": LAYER + r"has \d+ bytes, it should have \d+",
    "cut": LAYER + r"transfer closed with \d+ bytes remaining to read \(after 0 bytes\)",
    "range-wrong": LAYER + r"sends from byte 10 on in place of \d+",
    "stall-manifest": TAG + SLOW + r"\(after 0 bytes\)",
    "stall-0": LAYER + SLOW + r"\(after 0 bytes\)",
    "stall-50": LAYER + SLOW + r"\(after \d{6} bytes\)",
    "slow": LAYER + SLOW + r"\(after \d bytes\)",
    "reset": LAYER + r"Recv failure: Connection reset by peer \(after 0 bytes\)",
    "redirect-loop": TAG + "redirects more than 10 times",
    "redirect-to-file": TAG + "redirects to what is no address of HTTP",
    "auth-loop": TAG + "refuses the login",
    "auth-basic": TAG + "wants a login, and there are no credentials for it",
    "auth-unknown": TAG + "wants a login of a kind that is not known",
    "html": TAG + 'is of type "text/html", which is no manifest that is known',
    "html-as-manifest": TAG + "manifest is no JSON document",
    "huge-manifest": TAG + "has 4294967296 bytes, the limit is 4194304",
    "old-manifest": TAG + 'is of type "application/vnd.docker.distribution.manifest.v1'
                          r'\+prettyjws", which is no manifest that is known',
    "nested-indexes": "has indexes more than 4 deep",
    "two-kinds": TAG + 'manifest: both "manifests" and "layers" or "config": is it an index or a '
                       r"manifest\?",
    "other-platform": "none of the 1 manifests of the index is for linux/amd64",
    "unknown-layer": 'layer 2 is of type "application/x-squashfs", which is not supported',
    "too-few-layers": "the manifest has 1 layers, the configuration 2",
    "truncated-gzip": rf"layer sha256:{HEX}: the archive is damaged: truncated gzip input",
    "truncated-zstd": rf"layer sha256:{HEX}: the archive is damaged: .*",
    "server-error": TAG + "status 503: unavailable",
}


@pytest.mark.parametrize("mode", WHOLE)
def test_what_can_be_mended_is(puller, stub, mode):
    assert pull(puller, f"{stub}/lie/{mode}").startswith("sha256:")
    puller.v1.RemoveImage(image=spec(puller, f"{stub}/lie/{mode}"))


@pytest.mark.parametrize("mode", LIES)
def test_a_lie_is_told_exactly_and_leaves_nothing(puller, stub, mode):
    wait_for("the end of sweeping", lambda: not list((puller.root / "images/staging").iterdir()))
    before = names_in_store(puller)
    code, text = status_of(pull, puller, f"{stub}/lie/{mode}", rpc_timeout=60)
    expected = LIES[mode].replace("HOST", re.escape(stub)).replace("MODE", mode)
    assert re.fullmatch(re.escape(f"{stub}/lie/{mode}: ") + expected, text), text
    assert code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND)
    assert set(names_in_store(puller)) <= set(before)  # a sweep of before may have gone on


def stub_log(stub):
    return ask(stub, "log").splitlines()


def requests_of(stub, mode):
    """Ranges that were asked of the layers of an image: "all", "bytes=7-", by digest."""
    found = {}
    for line in stub_log(stub):
        path, *_, wanted = line.split()
        if path.startswith(f"/v2/lie/{mode}/blobs/"):
            found.setdefault(path.rpartition("/")[2], []).append(wanted)
    return found


def test_a_big_layer_comes_in_ranges(puller, stub):
    name = f"{stub}/lie/big-once"
    pull(puller, name)
    big = max(requests_of(stub, "big-once").values(), key=len)
    assert big[0] == "all" and len(big) >= 2
    assert all(re.fullmatch(r"bytes=[1-9]\d*-\d*", wanted) for wanted in big[1:])
    puller.v1.RemoveImage(image=spec(puller, name))


def test_a_cut_download_goes_on_with_the_next_pull(puller, stub):
    name, partial = f"{stub}/lie/big-cut", puller.root / "images/partial"
    code, text = status_of(pull, puller, name)
    assert code == grpc.StatusCode.UNAVAILABLE and re.search(r"after \d+ bytes", text), text
    kept, = partial.iterdir()
    ask(stub, "mend/big-cut")
    before = requests_of(stub, "big-cut")[kept.name]
    pull(puller, name)
    after = requests_of(stub, "big-cut")[kept.name][len(before):]
    begins = [int(re.match(r"bytes=(\d+)-", wanted)[1]) for wanted in after]
    # How much of the first 20 MiB was read before the server hung up is the network's affair.
    assert 1 << 20 <= min(begins) <= 20 << 20
    assert not list(partial.iterdir())


def test_what_was_kept_is_not_believed(puller, stub):
    name, partial = f"{stub}/lie/big-cut-changed", puller.root / "images/partial"
    assert status_of(pull, puller, name)[0] == grpc.StatusCode.UNAVAILABLE
    kept, = partial.iterdir()
    with open(kept, "r+b") as file:
        file.seek(12345)
        file.write(b"changed")
    ask(stub, "mend/big-cut-changed")
    pull(puller, name)
    assert requests_of(stub, "big-cut-changed")[kept.name][-1] == "all"
    assert not list(partial.iterdir())


def test_what_nobody_takes_up_again_is_garbage(puller, stub):
    partial = puller.root / "images/partial"
    for name, age in (("old", 3700), ("young", 60)):
        (partial / name).write_bytes(b"x")
        os.utime(partial / name, (time.time() - age,) * 2)
    pull(puller, f"{stub}/lie/good")
    assert [path.name for path in partial.iterdir()] == ["young"]
    (partial / "young").unlink()


def test_one_download_however_many_ask(puller, stub):
    """Three images with the same layers, by different names and different credentials."""
    api = puller.v1_api
    auths = [None, api.AuthConfig(username="a", password="b"), api.AuthConfig(username="c",
                                                                            password="d")]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: pull(puller, f"{stub}/lie/shared", auths[number % 3]),
                      range(12)))
    requests = requests_of(stub, "shared")
    assert len(requests) == 3 and all(wanted == ["all"] for wanted in requests.values()), requests


def test_credentials_stay_with_their_host(puller, stub):
    auth = puller.v1_api.AuthConfig(username=USER, password=PASSWORD)
    pull(puller, f"{stub}/lie/redirect-elsewhere", auth)
    code, text = status_of(pull, puller, f"{stub}/lie/auth-basic", auth)
    assert code == grpc.StatusCode.PERMISSION_DENIED and "refuses the login" in text
    log = stub_log(stub)
    assert any("/lie/auth-basic/" in line and " with login" in line for line in log)
    assert all("without login" in line for line in log if "/elsewhere/" in line)
    other = puller.v1_api.AuthConfig(username=USER, password=PASSWORD, server_address="quay.io")
    code, text = status_of(pull, puller, f"{stub}/lie/auth-basic", other)
    assert "there are no credentials for it" in text
    assert PASSWORD not in (puller.base / "dispatcher.log").read_text(errors="replace")


def test_one_worker_for_all_who_want_the_same(puller, stub):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(status_of, pull, puller, f"{stub}/lie/stall-50") for _ in range(8)]
        wait_for("a worker", lambda: workers(puller))
        time.sleep(0.3)
        assert len(workers(puller)) == 1
        assert {call.result()[0] for call in calls} == {grpc.StatusCode.UNAVAILABLE}


def test_a_pull_ends_with_the_last_who_waits(puller, stub):
    api = puller.v1_api
    request = api.PullImageRequest(image=spec(puller, f"{stub}/lie/slow"))
    first, second = (puller.v1.services[1].PullImage.future(request) for _ in range(2))
    worker = wait_for("a worker", lambda: workers(puller))
    first.cancel()
    time.sleep(0.3)
    assert workers(puller) == worker
    second.cancel()
    wait_for("the worker's end", lambda: not workers(puller))
    wait_for("a sweep by another worker", lambda: pull(puller, f"{stub}/lie/good") and
             not list((puller.root / "images/staging").iterdir()))


def memory_group(pid):
    """The directory of a process's control group, where memory is bounded."""
    groups = [line.split(":", 2) for line in
              pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for _, controllers, path in groups:
        if "memory" in controllers.split(",") and os.path.isdir("/sys/fs/cgroup/memory"):
            return pathlib.Path("/sys/fs/cgroup/memory" + path)
    return pathlib.Path("/sys/fs/cgroup" + groups[-1][2])


def test_a_worker_has_a_group_of_its_own(puller, stub):
    request = puller.v1_api.PullImageRequest(image=spec(puller, f"{stub}/lie/steady"))
    call = puller.v1.services[1].PullImage.future(request)
    worker, = wait_for("a worker", lambda: workers(puller))
    name = r"podmon-image-[0-9a-f]{16}\.scope" if puller.systemd else f"image-{worker}"
    group = wait_for("its group", lambda: re.fullmatch(name, memory_group(worker).name) and
                     memory_group(worker))
    limits = [path for path in (group / "memory.max", group / "memory.limit_in_bytes")
              if path.exists()]
    # A node of version 2 has no memory controller where the machine has it in version 1.
    assert [int(limit.read_text()) for limit in limits] == [512 << 20] * len(limits)
    assert limits or not (pathlib.Path("/sys/fs/cgroup/memory").exists() or "memory" in
                          pathlib.Path("/sys/fs/cgroup/cgroup.controllers").read_text())
    assert memory_group(puller.process.pid) != group

    def unpackers():  # One that has ended and is not reaped yet is in no group.
        return pathlib.Path(f"/proc/{worker}/task/{worker}/children").read_text().split()

    wait_for("an unpacker in the same group", lambda: any(
        memory_group(child) == group for child in unpackers()))
    call.cancel()
    wait_for("its removal", lambda: not group.exists())


def test_a_killed_worker_is_told(puller, stub):
    request = puller.v1_api.PullImageRequest(image=spec(puller, f"{stub}/lie/slow"))
    call = puller.v1.services[1].PullImage.future(request)
    for worker in wait_for("a worker", lambda: workers(puller)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    assert "ended early (signal 9)" in call.exception().details()


def test_login_by_htpasswd(puller, tmp_path, layout, capfd):
    (tmp_path / "htpasswd").write_text(subprocess.run(
        ["htpasswd", "-Bbn", USER, PASSWORD], check=True, capture_output=True, text=True).stdout)
    extra = f"auth:\n  htpasswd:\n    realm: test\n    path: {tmp_path / 'htpasswd'}\n"
    api = puller.v1_api
    with docker_registry(tmp_path / "registry", extra) as port:
        name = f"127.0.0.1:{port}/private/busybox:1"
        push(layout, name, "--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}")
        code, text = status_of(pull, puller, name)
        assert code == grpc.StatusCode.PERMISSION_DENIED, text
        bad = api.AuthConfig(username=USER, password="wrong-" + PASSWORD)
        code, text = status_of(pull, puller, name, bad)
        assert code == grpc.StatusCode.PERMISSION_DENIED and PASSWORD not in text
        both = api.AuthConfig(username=USER, password=PASSWORD, server_address=f"127.0.0.1:{port}")
        assert pull(puller, name, both)
        text = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        assert pull(puller, name, api.AuthConfig(auth=text))
        assert pull(puller, name, api.AuthConfig(auth=text.rstrip("=")))
    code, text = status_of(pull, puller, "a/b", api.AuthConfig(auth="!!"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "auth.auth" in text


def test_login_by_token(puller, stub):
    api = puller.v1_api
    assert pull(puller, f"{stub}/lie/token")
    name = f"{stub}/lie/token-login"
    code, text = status_of(pull, puller, name)
    assert code == grpc.StatusCode.PERMISSION_DENIED and "token server" in text
    for bad in (api.AuthConfig(username="token-user", password="wrong-secret"),
                api.AuthConfig(identity_token="wrong-secret"),
                api.AuthConfig(registry_token="wrong-secret")):
        code, text = status_of(pull, puller, name, bad)
        assert code == grpc.StatusCode.PERMISSION_DENIED and "refuses the login" in text
        assert "wrong-secret" not in text
    for good in (api.AuthConfig(username="token-user", password="token-password"),
                 api.AuthConfig(identity_token="identity"),
                 api.AuthConfig(registry_token="let-me-in")):
        assert pull(puller, name, good)


def certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", directory / "key.pem", "-out", directory / "cert.pem", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)


def test_tls(puller, tmp_path, layout, configure):
    certificate(tmp_path)
    tls = f"  tls:\n    certificate: {tmp_path}/cert.pem\n    key: {tmp_path}/key.pem\n"
    with docker_registry(tmp_path / "registry", tls=tls) as port:
        name = f"127.0.0.1:{port}/library/busybox:tls"
        push(layout, name, "--dest-tls-verify=false")
        configure(f"[127.0.0.1:{port}]\nplain-http = no\n")
        code, text = status_of(pull, puller, name)
        assert code == grpc.StatusCode.UNAVAILABLE and "certificate" in text
        configure(f"[127.0.0.1:{port}]\nplain-http = no\nca = {tmp_path}/cert.pem\n")
        assert pull(puller, name)


def test_a_client_certificate(puller, tmp_path, layout, configure):
    certificate(tmp_path)
    tls = (f"  tls:\n    certificate: {tmp_path}/cert.pem\n    key: {tmp_path}/key.pem\n"
           f"    clientcas: [{tmp_path}/cert.pem]\n")
    with docker_registry(tmp_path / "registry", tls=tls) as port:
        name = f"127.0.0.1:{port}/library/busybox:mutual"
        own = tmp_path / "own"
        own.mkdir()
        for file, link in (("cert.pem", "a.cert"), ("key.pem", "a.key"), ("cert.pem", "ca.crt")):
            (own / link).symlink_to(tmp_path / file)
        push(layout, name, f"--dest-cert-dir={own}")
        trust = f"[127.0.0.1:{port}]\nplain-http = no\nca = {tmp_path}/cert.pem\n"
        configure(trust)
        code, text = status_of(pull, puller, name)
        # The server refuses after its handshake (TLS 1.3): what the client hears of it varies.
        assert code == grpc.StatusCode.UNAVAILABLE, text
        configure(f"{trust}client-cert = {tmp_path}/cert.pem\nclient-key = {tmp_path}/key.pem\n")
        assert pull(puller, name)


def test_headers_are_for_their_host(puller, stub, configure):
    name = f"{stub}/lie/header"
    assert status_of(pull, puller, name)[0] == grpc.StatusCode.PERMISSION_DENIED
    configure(f"[{stub}]\nheader = X-Registry-Key: let-me-in\n")
    assert pull(puller, name)
    # Where that leads to, the header would be refused.
    assert pull(puller, f"{stub}/lie/redirect-elsewhere")


@pytest.mark.parametrize("how", ["environment", "config", "registry"])
def test_proxies(tmp_path, stub, how):
    """The stub answers what is asked of other hosts too."""
    (tmp_path / "registries.d").mkdir()
    (tmp_path / "registries.d/test.conf").write_text("[far.invalid]\nplain-http = yes\n" + (
        f"proxy = http://{stub}\n" if how == "registry" else ""))
    (tmp_path / "podmon.conf").write_text(
        f"[image]\nregistries_dir = {tmp_path}/registries.d\n" +
        (f"proxy = http://{stub}\n" if how == "config" else ""))
    dead = f"http://127.0.0.1:{free_port()}"
    proxy = f"http://{stub}" if how == "environment" else dead
    result = subprocess.run(
        [BUILD / "dispatcher/podmonctl", "--config", tmp_path / "podmon.conf", "--root",
         tmp_path / "root", "--run", tmp_path / "run", "pull", "far.invalid/lie/good"],
        env={**os.environ, "http_proxy": proxy}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_mirrors_are_asked_first(puller, registry, configure):
    host, dead = "registry.invalid", free_port()
    configure(f"[{host}]\nmirror = http://127.0.0.1:{dead} http://{registry}\n")
    name = f"{host}/library/busybox:1"
    pull(puller, name)
    assert name in puller.v1.ImageStatus(image=spec(puller, name)).image.repo_tags
    code, text = status_of(pull, puller, f"{host}/library/nothing:1")
    assert f"https://{host}/" in text and f"http://{registry}/" in text


def test_a_bad_drop_in_is_told(puller, registry, configure):
    configure("[docker.io]\nmirror = ftp://x\n")
    code, text = status_of(pull, puller, f"{registry}/library/busybox:1")
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "test.conf" in text and "line 2" in text and "mirror in [docker.io]" in text


def change_bytes(path):
    """Other bytes, as many, and nobody sees it from outside."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(b"damaged")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


DAMAGE = {
    "has other bytes": change_bytes,
    "has another mode": lambda path: path.chmod(0o4755),
    "has another owner": lambda path: os.chown(path, 1, 1),
    "has another time of change": lambda path: os.utime(path, (1, 1)),
    "has other attributes": lambda path: os.setxattr(path, "user.added", b"x"),
    "is missing": os.unlink,
    "has more in it than it should": lambda path: path.with_name("added").touch(),
    "is of another kind": lambda path: (path.unlink(), path.mkdir()),
    "has other links": lambda path: os.link(path, path.with_name("added")),
    "has another size": lambda path: (status := path.stat(), os.truncate(path, 10), os.utime(
        path, ns=(status.st_atime_ns, status.st_mtime_ns))),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_check_finds_what_is_wrong_in_a_layer(tmp_path, stub, problem):
    control = [BUILD / "dispatcher/podmonctl", "--root", tmp_path, "--run", tmp_path / "run"]

    def run(*arguments):
        return subprocess.run([*control, *arguments], capture_output=True, text=True)

    assert run("pull", f"{stub}/lie/good").returncode == 0
    result = run("check")
    assert "1 images, 0 damaged; 3 blobs and 2 layers are whole" in result.stdout, result
    DAMAGE[problem](next((tmp_path / "images/layers").glob("*/tree/*/*")))
    result = run("check")
    assert result.returncode == 1 and problem in result.stdout, result.stdout
    assert run("check", "--repair").returncode == 0
    assert run("pull", f"{stub}/lie/good").returncode == 0
    assert "1 images, 0 damaged" in run("check").stdout
    assert not list((tmp_path / "images/staging").iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """mount(size): a file system of so many bytes."""
    mounted = []

    def mount(size):
        path = tmp_path / f"disk-{size}"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "small", path],
                       check=True)
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("size", [16 << 10, 64 << 10, 300 << 10, 700 << 10, 1 << 20])
def test_no_room_at_any_stage(small_disk, stub, size):
    """The image needs 1.2 MB: blobs and layers of 600 kB each."""
    disk = small_disk(size)
    control = [BUILD / "dispatcher/podmonctl", "--root", disk, "--run", disk / "run"]
    result = subprocess.run([*control, "pull", f"{stub}/lie/good"], capture_output=True, text=True)
    assert result.returncode == 1 and "No space left on device" in result.stderr, result.stderr
    images = subprocess.run([*control, "images"], capture_output=True, text=True).stdout
    assert len(images.splitlines()) == 1
    for kind in ("records", "layers", "staging", "blobs/sha256"):
        directory = disk / "images" / kind
        assert not directory.is_dir() or not list(directory.iterdir())


def test_a_bomb_meets_the_end_of_the_disk(small_disk, stub):
    disk = small_disk(64 << 20)
    result = subprocess.run([BUILD / "dispatcher/podmonctl", "--root", disk, "pull",
                             f"{stub}/lie/bomb"], capture_output=True, text=True)
    assert result.returncode == 1
    assert re.search(r"limit|larger|more than|No space left", result.stderr), result.stderr
    assert not list((disk / "images/layers").iterdir())


def test_check_finds_damage_and_a_pull_mends_it(small_disk, stub):
    root = small_disk(64 << 20)
    control = [BUILD / "dispatcher/podmonctl", "--root", root, "--run", root / "run"]

    def run(*arguments):
        return subprocess.run([*control, *arguments], capture_output=True, text=True)

    name = f"{stub}/lie/good"
    assert run("pull", name).returncode == 0
    assert "1 images, 0 damaged" in run("check").stdout
    blob = max((root / "images/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[1000] ^= 1
    blob.write_bytes(data)
    result = run("check")
    assert result.returncode == 1 and "has other bytes than it had" in result.stdout
    assert run("check", "--repair").returncode == 0
    assert len(run("images").stdout.splitlines()) == 1
    wait_for("the end of sweeping", lambda: not blob.exists())
    assert run("pull", name).returncode == 0
    assert "1 images, 0 damaged" in run("check").stdout
    next((root / "images/records").iterdir()).write_bytes(b"torn")
    assert "<damaged>" in run("images").stdout
    assert run("rmi", run("images").stdout.split("<damaged>")[1].split()[0]).returncode == 0
    assert len(run("images").stdout.splitlines()) == 1
