"""What is measured: scripts that anyone can run, with dated results in results/."""
