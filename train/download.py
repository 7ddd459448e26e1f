"""Fetch the data set from Kaggle with whichever of Kaggle's own tools is installed; without one, say what to do by hand."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
from pathlib import Path

from core.errors import InvalidData

DATA_SET = "paramaggarwal/fashion-product-images-small"
BY_HAND = """{reason} By hand:
  1. Open https://www.kaggle.com/datasets/{data_set}, sign in, press Download.
  2. Train from the zip as it is: python -m train --data PATH/archive.zip
To let this command do it: `pip install kagglehub`, put your API token where https://www.kaggle.com/docs/api says (often
~/.kaggle/kaggle.json), and run `python -m train download` again."""


def download(folder: Path) -> Path:
    """Fetch the data set into a folder, by kagglehub or else by the Kaggle command line.

    Returns:
        What to give to `--data`.

    Raises:
        InvalidData: neither tool is installed, or it failed (offline, no credentials); the message says what to do by hand.
    """
    if importlib.util.find_spec("kagglehub"):
        return _by_kagglehub(folder)
    if shutil.which("kaggle"):
        return _by_command_line(folder)
    raise _by_hand("Neither kagglehub nor the Kaggle command line is installed.")


def _by_kagglehub(folder: Path) -> Path:
    try:
        return Path(importlib.import_module("kagglehub").dataset_download(DATA_SET, output_dir=str(folder)))
    except Exception as error:  # kagglehub has no common base of its errors
        raise _by_hand(f"kagglehub could not fetch the data set ({error}).") from error


def _by_command_line(folder: Path) -> Path:
    command = ["kaggle", "datasets", "download", "-d", DATA_SET, "-p", str(folder)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise _by_hand(f"The Kaggle command line could not fetch the data set ({done.stderr.strip()[-300:]}).")
    return folder / f"{DATA_SET.partition('/')[2]}.zip"


def _by_hand(reason: str) -> InvalidData:
    return InvalidData(BY_HAND.format(reason=reason, data_set=DATA_SET))
