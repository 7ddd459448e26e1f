"""What a page writes into its own address and takes from it again: choices that the address always names, or that belong together.

Streamlit binds single controls to the address. Those need no step on the browser's way back, and stand there as on screen.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

WRITTEN = "address_written"  # values by key, as this session wrote them into the address


def asked(*keys: str, arrived: bool) -> dict[str, str] | None:
    """What the address says of some keys, empty where it says nothing; None where it says what this session wrote.

    Args:
        keys: query parameters.
        arrived: whether the visitor has just come to the page, by a link or a reload.
    """
    found = {key: st.query_params.get(key, "") for key in keys}
    written = st.session_state.get(WRITTEN, {})
    return found if arrived or any(found[key] != written.get(key, "") for key in keys) else None


def chosen(*keys: str) -> None:
    """The visitor has chosen anew, so that what the address still says of these keys is no wish; for callbacks."""
    _remember({key: st.query_params.get(key, "") for key in keys})


def write(values: Mapping[str, str]) -> None:
    """Put values into the address, in one step for the browser's way back; empty ones are left out."""
    if any(st.query_params.get(key, "") != value for key, value in values.items()):
        st.query_params.update({key: [value] if value else [] for key, value in values.items()})
    _remember(values)


def _remember(values: Mapping[str, str]) -> None:
    st.session_state[WRITTEN] = {**st.session_state.get(WRITTEN, {}), **values}


def by_id_or_name(given: str, names: Mapping[str, str]) -> str | None:
    """The id that an address means, given by itself or, as in earlier addresses, by its name; None if there is no such one.

    Args:
        given: what stands in the address.
        names: id to name.
    """
    return given if given in names else next((key for key, name in names.items() if name == given), None)
