"""Tests of delivery alone: buffers, cursors, streams and the hub, on fake databases and fake sockets."""
