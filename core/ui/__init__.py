"""The widgets of the pages; the only part of core that imports streamlit."""
