"""Files that deploy the dashboard; docs/deployment.md explains them."""
