"""A real Redis cluster of three servers, from the wheel, and a TLS front for one that has none."""

from __future__ import annotations

import datetime as dt
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis

from tests.servers import RedisServer, free_port

SLOTS = 16_384
_SERVERS = 3


class ClusterServer(RedisServer):
    """One server of a cluster."""

    options = ("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        while self.port > 55_000:  # the cluster's own port is 10,000 higher
            self.port = free_port()


class Cluster:
    """Three servers; every slot is held by one."""

    def __init__(self, servers: list[ClusterServer]) -> None:
        self.servers = servers

    @property
    def address(self) -> str:
        return ",".join(server.address for server in self.servers)

    def client(self) -> redis.RedisCluster:
        return redis.RedisCluster(host="127.0.0.1", port=self.servers[0].port)

    def move_slot(self, slot: int) -> None:
        """Gives an empty slot to another server."""
        nodes = [server.client() for server in self.servers]
        holder = next(n for n, server in enumerate(self.servers) if slot in _range(n))
        target = nodes[(holder + 1) % _SERVERS].execute_command("CLUSTER MYID").decode()
        for node in nodes:
            node.execute_command("CLUSTER SETSLOT", slot, "NODE", target)

    def meet(self) -> None:
        nodes = [server.client() for server in self.servers]
        for number, node in enumerate(nodes):
            node.execute_command("CLUSTER ADDSLOTS", *_range(number))
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port)
        deadline = time.monotonic() + 30
        while not all(_is_whole(node) for node in nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster did not come together within 30 s")
            time.sleep(0.05)  # nothing to wait on but the cluster's own word


def _range(number: int) -> range:
    share = SLOTS // _SERVERS + 1
    return range(number * share, min((number + 1) * share, SLOTS))


def _is_whole(node: redis.Redis) -> bool:
    info = node.execute_command("CLUSTER INFO")
    text = (
        info
        if isinstance(info, dict)
        else dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    )
    return text["cluster_state"] == "ok" and int(text["cluster_known_nodes"]) == _SERVERS


@contextmanager
def redis_cluster(folder: Path) -> Iterator[Cluster]:
    """A running, empty cluster."""
    with ExitStack() as stack:
        servers = [ClusterServer(folder / f"node-{number}") for number in range(_SERVERS)]
        for server in servers:
            stack.callback(server.stop)
            server.start()
        cluster = Cluster(servers)
        cluster.meet()
        yield cluster


@contextmanager
def tls_front(folder: Path, server: RedisServer) -> Iterator[tuple[str, Path]]:
    """``host:port`` that speaks TLS for ``server`` (its own build cannot), and the certificate to trust."""
    certificate, key = _self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                context.wrap_socket(self.request, server_side=True) as outside,
                socket.create_connection(("127.0.0.1", server.port)) as inside,
            ):
                back = threading.Thread(target=_copy, args=(inside, outside))
                back.start()
                _copy(outside, inside)
                back.join()

    class Front(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that does not trust the certificate is no failure of the front."""

    with Front(("127.0.0.1", 0), Handler) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield f"localhost:{front.server_address[1]}", certificate
        front.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # the other side has gone
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):  # closed already
        target.shutdown(socket.SHUT_WR)


def _self_signed(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths
