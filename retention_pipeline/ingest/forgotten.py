"""Who was forgotten: the file that keeps it, and the key of its hashes. No name stands there."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

from retention_pipeline.settings import Home, Settings, SettingsError


def keyed_hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def forgotten_file(home: Home) -> Path:
    """The people who were forgotten: keyed hashes and the random ids in their place, no name."""
    return home.archive / "forgotten.json"


def read_forgotten(home: Home) -> dict[str, str]:
    """By keyed hash the random id of everybody who was forgotten. Raises SettingsError for a file that is damaged."""
    path = forgotten_file(home)
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["people"])
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path}, which says who was forgotten, is damaged ({error}): put it back from a backup, or"
            f" mv {path} {path}.aside and forget them again"
        ) from None


def privacy_key(settings: Settings) -> bytes:
    """The key of the hashes. Raises SettingsError."""
    if settings.privacy.key is None:
        raise SettingsError("privacy.key is missing: {env: NAME}, the environment variable that holds a random text")
    return settings.privacy.key.read().encode()


def check_key(home: Home, key: bytes) -> None:
    """Raise SettingsError where people were forgotten under another key: they would come back."""
    path = forgotten_file(home)
    if path.exists() and json.loads(path.read_text(encoding="utf-8")).get("key") != keyed_hash(key, "key"):
        raise SettingsError(
            f"privacy.key: it differs from the key that {path} was made with; nobody could be recognised"
        )


def write_forgotten(home: Home, key: bytes, people: dict[str, str], acts: list[dict[str, Any]]) -> None:
    """Replace the file as a whole, and durably."""
    path = forgotten_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", encoding="utf-8") as stream:
        json.dump({"key": keyed_hash(key, "key"), "people": people, "acts": acts}, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(unfinished, path)
