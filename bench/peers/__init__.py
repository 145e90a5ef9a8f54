"""The systems that stand beside us in the benchmark, each as its own documentation sets it up."""
