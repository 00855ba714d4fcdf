"""Storage's JSON API and Secret Manager over the standard library: claims, manifests, the ledger.

Spark reaches its files by itself; these few objects need preconditions that Spark does not have.
"""

from __future__ import annotations

import base64
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

STORAGE = "https://storage.googleapis.com"
SECRETS = "https://secretmanager.googleapis.com"
# https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
TOKEN = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"

TRIES = 6
TIMEOUT_S = 60
RETRIED = {408, 429, 500, 502, 503, 504}


class Refused(Exception):
    """An answer that will not change by asking again."""


class Unavailable(Refused):
    """A service that stayed away however often it was asked: nobody's records are at fault."""


class Objects:
    """Objects and secrets. With an endpoint given, requests carry no token."""

    def __init__(self, storage: str | None = None, secrets: str | None = None) -> None:
        self._storage = (storage or STORAGE).rstrip("/")
        self._secrets = (secrets or SECRETS).rstrip("/")
        self._public = {
            url for url, given in ((self._storage, storage), (self._secrets, secrets)) if not given
        }
        self._token: tuple[str, float] | None = None

    def read_json(self, bucket: str, name: str) -> Any | None:
        """The object's JSON, or None when it is absent."""
        url = (
            f"{self._storage}/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"
        )
        status, body = self._ask("GET", url)
        if status == 404:
            return None
        if status != 200:
            raise Refused(f"reading gs://{bucket}/{name}: {status} {body[:300]!r}")
        return json.loads(body)

    def create_json(self, bucket: str, name: str, value: Any) -> bool:
        """Creates the object once; False = it was there before."""
        query = urllib.parse.urlencode(
            {"uploadType": "media", "name": name, "ifGenerationMatch": "0"}
        )
        url = f"{self._storage}/upload/storage/v1/b/{bucket}/o?{query}"
        status, body = self._ask("POST", url, json.dumps(value).encode())
        if status == 412:
            return False
        if status != 200:
            raise Refused(f"creating gs://{bucket}/{name}: {status} {body[:300]!r}")
        return True

    def secret(self, project: str, name: str) -> bytes:
        """The newest version of a secret."""
        url = f"{self._secrets}/v1/projects/{project}/secrets/{name}/versions/latest:access"
        status, body = self._ask("GET", url)
        if status != 200:
            raise Refused(f"reading secret {name} of {project}: {status}")
        return base64.b64decode(json.loads(body)["payload"]["data"])

    def _ask(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One exchange; passing faults are tried again, with full jitter."""
        for attempt in range(TRIES):
            request = urllib.request.Request(url, data=body, method=method)
            if body is not None:
                request.add_header("Content-Type", "application/json")
            if any(url.startswith(base) for base in self._public):
                request.add_header("Authorization", f"Bearer {self._bearer()}")
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as answer:
                if answer.code not in RETRIED:
                    return answer.code, answer.read()
                if attempt == TRIES - 1:
                    raise Unavailable(f"{method} {url.split('?')[0]}: {answer.code}") from answer
            except (urllib.error.URLError, OSError) as fault:
                if attempt == TRIES - 1:
                    raise Unavailable(f"{method} {url.split('?')[0]}: {fault}") from fault
            time.sleep(random.uniform(0, min(16.0, 0.2 * 2**attempt)))
        raise AssertionError("unreachable")

    def _bearer(self) -> str:
        if self._token is None or self._token[1] < time.time():
            request = urllib.request.Request(TOKEN, headers={"Metadata-Flavor": "Google"})
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                value = json.loads(answer.read())
            self._token = (value["access_token"], time.time() + value["expires_in"] / 2)
        return self._token[0]
