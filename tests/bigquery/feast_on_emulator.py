"""What Feast's own BigQuery store needs to run on the emulator, and would not need on BigQuery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest


@pytest.fixture
def feast_on_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Google's client reads results over REST, names the body of an upload as the emulator expects, and says
    ``CREATE OR REPLACE`` where Feast says ``CREATE``, since temporary tables outlive their script there. Feast's client
    wants credentials: a key made here, and a token from here."""
    from google.cloud import bigquery

    query = bigquery.Client.query

    def without_leftovers(self: Any, text: str, *args: Any, **more: Any) -> Any:
        return query(self, text.replace("CREATE TEMP TABLE", "CREATE OR REPLACE TEMP TABLE"), *args, **more)

    monkeypatch.setattr(bigquery.Client, "query", without_leftovers)
    monkeypatch.setattr(bigquery.Client, "_ensure_bqstorage_client", lambda *_, **__: None)
    monkeypatch.setattr("google.cloud.bigquery.client._GENERIC_CONTENT_TYPE", "application/octet-stream")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tokens)
    Thread(target=server.serve_forever, daemon=True).start()
    key = tmp_path / "key.json"
    key.write_text(json.dumps(_key(f"http://127.0.0.1:{server.server_address[1]}/token")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    yield
    server.shutdown()
    server.server_close()


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _key(token_uri: str) -> dict[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = "tests@test-project.iam.gserviceaccount.com"
    return {
        "type": "service_account",
        "project_id": "test-project",
        "private_key_id": "made-here",
        "private_key": private.decode(),
        "client_email": account,
        "client_id": "1",
        "token_uri": token_uri,
    }
