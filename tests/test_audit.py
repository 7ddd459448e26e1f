"""What `make audit` makes of the answers it can get; none of them comes from the internet here."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / ".ci" / "audit.py"
FLAWS = [{"id": "CVE-0-0", "fix_versions": ["9.9"]}]


def audited(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "") -> int:
    """The exit status if pip-audit says this."""
    specification = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert specification and specification.loader
    audit = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(audit)
    answer = subprocess.CompletedProcess([], 0, stdout, stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    monkeypatch.chdir(ROOT)
    return audit.main()


@pytest.mark.parametrize(
    ("name", "status", "where"),
    [
        ("pillow", 1, "installed by make run"),
        ("imagehash", 1, "installed by make run"),
        ("PyWavelets", 1, "installed by make run"),  # which ImageHash needs
        ("pytest", 0, "for development only"),
    ],
)
def test_a_flaw_fails_where_the_product_runs_and_is_named_everywhere(
    name: str, status: int, where: str, monkeypatch, capsys
):
    libraries = [{"name": name, "version": "1.0", "vulns": FLAWS}, {"name": "torch", "skip_reason": "not found"}]
    assert audited(monkeypatch, json.dumps({"dependencies": libraries})) == status
    said = capsys.readouterr().out
    assert f"VULNERABLE, {where}: {name} 1.0, CVE-0-0, mended in 9.9" in said
    assert "1 libraries audited; not known to the service: torch" in said


def test_no_flaw_passes(monkeypatch, capsys):
    assert audited(monkeypatch, '{"dependencies": [{"name": "pillow", "version": "1.0", "vulns": []}]}') == 0
    assert "VULNERABLE" not in (said := capsys.readouterr().out) and "1 libraries audited" in said


def test_who_knows_no_library_at_all_is_not_the_service(monkeypatch, capsys):
    assert audited(monkeypatch, '{"dependencies": [{"name": "pillow", "skip_reason": "not found"}]}') == 0
    assert capsys.readouterr().out.startswith("NOT AUDITED")


def test_an_audit_that_breaks_for_another_reason_fails(monkeypatch, capsys):
    assert audited(monkeypatch, "", "No module named pip_audit") == 1
    assert "No module named pip_audit" in capsys.readouterr().out


def test_without_internet_it_says_that_nothing_was_audited_and_passes(tmp_path: Path):
    """The real pip-audit, behind a proxy that is not there."""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "", "PIP_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("NOT AUDITED: the vulnerability service cannot be reached")
