"""Who may use the app: everybody on this machine, or those with an account from elsewhere."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
VARIABLE = "S4TOKEN_AUTH"


def accounts(host: str, auth: str | None) -> list[tuple[str, str]] | None:
    """Return users and passwords, None when nobody needs one.

    host: the address to listen on; auth: ``USER:PASSWORD``, or a file with one such line per user;
    without it, what the environment variable S4TOKEN_AUTH says. Raises ValueError or OSError when
    that is no account, or when there is none and the address can be reached from elsewhere.
    """
    source, text = ("--auth", auth) if auth is not None else (VARIABLE, os.environ.get(VARIABLE))
    if not text:
        if auth is not None or not is_loopback(host):
            raise ValueError(
                f"--host {host}: others could reach the app there; add --auth USER:PASSWORD, a "
                f"file of such lines, or set {VARIABLE}"
            )
        return None
    if Path(text).is_file():
        source, lines = text, Path(text).read_text(encoding="utf-8").splitlines()
    else:
        lines = [text]
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.strip().partition(":")
        if not colon or not password or not NAME.fullmatch(user):
            where = f"line {number}" if source == text else "neither a file nor an account"
            raise ValueError(
                f"{source}: {where}: expected USER:PASSWORD, the user of letters, digits and ._@-"
            )
        if user.casefold() in found:
            raise ValueError(f"{source}: line {number} names {user} again")
        found[user.casefold()] = (user, password)
    if not found:
        raise ValueError(f"{source}: no line USER:PASSWORD in it")
    return list(found.values())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
