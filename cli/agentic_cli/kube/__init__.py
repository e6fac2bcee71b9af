"""The API server: kubeconfig, credentials and a small client."""
