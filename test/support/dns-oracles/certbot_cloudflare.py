"""Adds and removes two values with certbot's plug-in for Cloudflare: TOKEN DOMAIN NAME, then a line for each step."""
import sys
from certbot_dns_cloudflare._internal.dns_cloudflare import _CloudflareClient

token, domain, name = sys.argv[1:]
client = _CloudflareClient(api_token=token)
for step, value in (("add", "one"), ("add", "two"), ("del", "one"), ("del", "two")):
    getattr(client, step + "_txt_record")(domain, name, value, *([120] if step == "add" else []))
    print(step, value, flush=True)
    sys.stdin.readline()
