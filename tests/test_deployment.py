"""The files that deploy the dashboard agree with one another; the proxy itself is tested in tests/browser/test_proxy.py."""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import yaml

from core.settings import FEEDBACK
from tests.conftest import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
APP, PROXY = COMPOSE["services"]["app"], COMPOSE["services"]["proxy"]


def test_hadolint_finds_nothing_in_the_dockerfile():
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", "Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "", done.stdout


def test_the_proxy_knows_every_replica():
    replicas = [f"{COMPOSE['name']}-app-{number}:8501" for number in range(1, APP["deploy"]["replicas"] + 1)]
    assert PROXY["environment"]["UPSTREAMS"].split() == replicas


def test_every_container_has_a_read_only_root_and_no_needless_rights():
    for service in (APP, PROXY):
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["mem_limit"] and service["pids_limit"] and service["logging"]["options"]["max-size"]
    assert "ports" not in APP  # only the proxy is reached from outside


def test_corrections_have_a_place_that_the_images_user_may_write_and_replicas_share():
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    file = re.search(rf"^ENV {FEEDBACK}=(\S+)$", dockerfile, re.MULTILINE)
    user = re.search(r"useradd .*--uid (\d+) .*?(\w+) && install --directory --owner=(\w+) (\S+)", dockerfile)
    assert file and user and f"USER {user[1]}" in dockerfile and user[2] == user[3]
    folder = str(PurePosixPath(file[1]).parent)
    assert folder == user[4]
    (volume,) = (mount.partition(":")[0] for mount in APP["volumes"] if mount.split(":")[1:] == [folder])
    assert volume in COMPOSE["volumes"] and FEEDBACK not in APP["environment"]
    guide = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"-v {volume}:{folder} " in guide and f"`{file[1]}`" in guide


def test_the_build_context_holds_what_is_copied_and_nothing_else():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    lines = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines()]
    assert allowed == {words[1] for words in lines if words[:1] == ["COPY"] and not words[1].startswith("--from")}
