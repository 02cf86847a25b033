"""What fails in a database, or what a deployment to it would refuse: looked at, and nothing of it changed."""
