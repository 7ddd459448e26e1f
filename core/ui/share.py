"""A button that copies the address of the page as the browser shows it, for links that are worth sending."""

from __future__ import annotations

import streamlit.components.v2 as components

_STYLE = """
button { font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: var(--st-background-color); cursor: pointer;
  border: 1px solid var(--st-widget-border-color, var(--st-border-color)); border-radius: var(--st-button-radius);
  padding: 0.3rem 0.75rem; min-height: 2.5rem; white-space: nowrap; font-family: var(--st-font); }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
"""
_SCRIPT = """
function copied(text) {  // where the browser refuses its clipboard, as over plain HTTP
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
export default function({ parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = async () => {
    const address = window.location.href;
    let done = true;
    try { await navigator.clipboard.writeText(address); } catch { done = copied(address); }
    button.textContent = done ? "Link copied" : "Copy the address bar";
    setTimeout(() => { button.textContent = "Copy link"; }, 2000);
  };
}
"""
_copy = components.component("copy_link", html="<button type='button'>Copy link</button>", css=_STYLE, js=_SCRIPT)


def copy_link(key: str) -> None:
    """The button; the address must carry everything that the receiver is to see."""
    _copy(key=key, width="content")
