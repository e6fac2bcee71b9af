"""The Helm chart, cut from the manifests."""
