"""How true vectors and tags are, and the fitting of what makes tags true."""
