"""A proxy that is configured for the world is not asked for the servers of this machine."""

import os
import subprocess
import sys
import urllib.request

import pytest


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_the_page_is_served_past_a_proxy_that_is_gone(case, tmp_path):
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    environment = {name: text for name, text in os.environ.items() if name.lower() not in proxies}
    environment |= {case(name): "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy")}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "fcn", "web", "--port", "0"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        try:
            address = process.stdout.readline().removeprefix("The page is at ").split(" ")[0]
            assert address.startswith("http://127.0.0.1:"), process.stderr.read()
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(address, timeout=60) as answer:
                assert b"<html" in answer.read()
        finally:
            process.terminate()
            process.communicate()
