"""The stream of an instance: its stored events by REST, then the following ones by Socket.IO."""
