"""The cases of the protocol documents of Socket.IO (v5) and Engine.IO (v4), on real servers."""
