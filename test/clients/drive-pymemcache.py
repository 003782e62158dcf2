"""Drives a server through pymemcache: drive-pymemcache.py PORT. Fails with a traceback when something is not as it should be."""

import sys

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheServerError

client = Client(("127.0.0.1", int(sys.argv[1])), connect_timeout=5, timeout=10, default_noreply=False)

assert client.set("a", b"hello", flags=7)
assert client.get("a") == b"hello"
assert not client.add("a", b"x")
assert client.append("a", b"!") and client.prepend("a", b">")
assert client.get("a") == b">hello!"
assert not client.replace("none", b"x")

value, cas = client.gets("a")
assert client.cas("a", b"new", cas) is True
assert client.cas("a", b"newer", cas) is False
assert client.cas("none", b"new", cas) is None

assert client.set("n", "41")
assert client.incr("n", 1) == 42
assert client.decr("n", 100) == 0
assert client.incr("none", 1) is None

assert client.touch("a", 100) and not client.touch("none", 100)
assert client.get("a") == b"new"
assert client.delete("a") and not client.delete("a")

pairs = {f"key-{i}": str(i).encode() * 100 for i in range(500)}
assert client.set_many(pairs) == []
assert client.get_many([*pairs, "none"]) == pairs
assert len(client.gets_many(pairs)) == len(pairs)
assert client.delete_many(pairs) and client.get_many(pairs) == {}

large = bytes(i * 31 % 256 for i in range(1024 * 1024))
assert client.set("large", large) and client.get("large") == large
try:
    client.set("large", large + b"1")
    raise AssertionError("a value that is too large was taken")
except MemcacheServerError:
    pass

client.set("quiet", b"1", noreply=True)
client.delete("quiet", noreply=True)
assert client.get("quiet") is None
assert int(client.stats()[b"curr_items"]) >= 1
assert client.version()
assert client.flush_all() and client.get("n") is None
client.quit()
