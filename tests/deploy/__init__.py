"""Tests of the image, the compose file, the systemd units and the Kubernetes manifests."""
