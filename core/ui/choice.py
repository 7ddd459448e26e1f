"""Controls that choose one of a few options and stand in the page's address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

Option = TypeVar("Option")


def one_of(
    label: str,
    options: Sequence[Option],
    default: Option,
    key: str,
    control: Callable[..., Any] = st.segmented_control,
    **more: Any,
) -> Option:
    """A control of which one option is always chosen, the default where the address leaves it empty (`?key=`).

    Args:
        label: of the control.
        options: to choose from.
        default: one of them.
        key: of the control, and its name in the address.
        control: `st.segmented_control` or `st.pills`.
        more: for the control.
    """
    chosen = control(label, options, default=default, required=True, key=key, bind="query-params", **more)
    return default if chosen is None else chosen
