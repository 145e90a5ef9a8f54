"""`swallowtail doctor`: checks a deployment from outside of its processes, and names the remedy of each problem."""
