"""Engine.IO sessions and packets."""
