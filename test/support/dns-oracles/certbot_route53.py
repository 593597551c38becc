"""Adds and removes two values with certbot's plug-in for Route 53: DOMAIN NAME, then a line for each step."""
import sys
import time
from certbot_dns_route53._internal.dns_route53 import Authenticator

time.sleep = lambda seconds: None
name = sys.argv[1]
plugin = Authenticator(config=None, name="route53")
for step, value in (("UPSERT", "one"), ("UPSERT", "two"), ("DELETE", "one"), ("DELETE", "two")):
    change = plugin._change_txt_record(step, name, value)
    plugin._wait_for_change(change)
    print(step, value, flush=True)
    sys.stdin.readline()
