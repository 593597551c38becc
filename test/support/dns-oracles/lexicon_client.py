"""Adds, lists and removes two values with lexicon: PROVIDER DOMAIN NAME and options NAME=VALUE, then a line for each step."""
import sys
from lexicon.client import Client
from lexicon.config import ConfigResolver

provider, domain, name, *options = sys.argv[1:]
own = dict(option.split("=", 1) for option in options)


def run(action, content=None):
    config = {"provider_name": provider, "action": action, "domain": domain, "type": "TXT", "name": name, "ttl": 120}
    config.update({"content": content} if content else {})
    return Client(ConfigResolver().with_dict({**config, provider: own})).execute()


for step, value in (("create", "one"), ("create", "two"), ("delete", "one"), ("delete", "two")):
    assert run(step, value), step
    found = sorted(record["content"].strip('"') if isinstance(record["content"], str) else record["content"] for record in run("list"))
    print(step, value, found, flush=True)
    sys.stdin.readline()
