"""Read run folders and classify photos of clothes. Importing `core` never loads torch or streamlit."""
